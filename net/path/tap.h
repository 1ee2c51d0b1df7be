// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_TAP_H_
#define VDUSE_NET_NET_PATH_TAP_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "net/path/packet_port.h"
#include "net/path/uring.h"

namespace net {

// How packets are moved into and out of a TAP.
enum class Engine {
  kAuto,      // io_uring if the kernel offers it to this process
  kUring,     // several packets per system call, if there are several
  kSyscalls,  // one system call per packet
};

// One queue of a TAP interface.
class Tap final : public PacketPort {
 public:
  enum class IfAbsent { kCreate, kFail };

  // Opens `queues` queues of the interface `name`, or creates the interface.
  // Offloads are off and the header has 12 bytes. An interface created here
  // persists after the process, so that its addresses and routes survive a
  // crash, until Remove(). Whether the interface exists is asked of the TUN
  // driver, in the network namespace of the calling thread, because /sys may
  // belong to another namespace.
  //
  // Takes the rtnl lock: never call it while the kernel waits for an answer.
  //   NotFound: `if_absent` is kFail and there is no such interface.
  //   FailedPrecondition: another process has the interface open.
  static absl::StatusOr<std::vector<Tap>> Open(
      const std::string& name, uint32_t queues,
      IfAbsent if_absent = IfAbsent::kCreate);

  // `fd` may be any descriptor with the semantics of a TAP queue.
  explicit Tap(base::UniqueFd fd) : fd_(std::move(fd)) {}

  // PacketPort
  size_t at_once(size_t packets) const override {
    return UseUring(packets) ? packets : kSyscallsAtOnce;
  }
  void Read(std::span<Io> packets) override;
  void Write(std::span<Io> packets) override;

  // Sets up io_uring unless `engine` is kSyscalls. An error is that of
  // Uring::Create(); system calls are then used. Call it on the thread that
  // will read and write.
  // With a `journal`, which must outlive the port, the results are left to a
  // successor.
  absl::Status StartEngine(Engine engine, PairJournal* journal = nullptr);

  // Whether a successor finds in the journal what was read and written.
  bool results_survive() const {
    return uring_ && uring_->usable() && uring_->in_journal();
  }

  int fd() const { return fd_.get(); }
  // Takes the descriptor out of a queue that is not used any more.
  base::UniqueFd TakeFd() { return std::move(fd_); }

  // Sets the offloads that packets from the kernel may need (`flags` of
  // TUNSETOFFLOAD). Applies to all queues of the interface. Takes the rtnl
  // lock.
  absl::Status SetOffloads(unsigned flags);

  // Sets whether the kernel gives packets to this queue of several. Takes the
  // rtnl lock.
  absl::Status SetAttached(bool attached);

  // Whether the kernel supports USO on this TAP.
  bool knows_uso() const { return knows_uso_; }

  // Whether Open() made the interface.
  bool created() const { return created_; }

  // Makes the interface go away when its last descriptor is closed. Takes the
  // rtnl lock.
  absl::Status Remove();

 private:
  // For fewer packets, one system call each costs less than io_uring. But a
  // successor cannot know the result of a system call.
  static constexpr size_t kUringFrom = 4;
  // The most packets written or read before their outcome is published. A
  // polling driver takes the ring's cache lines away at each publication.
  static constexpr size_t kSyscallsAtOnce = 8;

  static absl::StatusOr<Tap> OpenQueue(const std::string& name, int flags);
  static absl::StatusOr<Tap> OpenFirst(const std::string& name, uint32_t queues,
                                       IfAbsent if_absent, int& flags);

  bool UseUring(size_t packets) const {
    return uring_ && uring_->usable() &&
           (packets >= kUringFrom || uring_->in_journal());
  }

  base::UniqueFd fd_;
  std::unique_ptr<Uring> uring_;
  bool created_ = false;
  bool knows_uso_ = false;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_TAP_H_
