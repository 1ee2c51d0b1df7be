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
#include "net/path/io.h"
#include "net/path/uring.h"

namespace net {

// How packets get into and out of a TAP.
enum class Engine {
  kAuto,      // by io_uring where the kernel has it for us
  kUring,     // many packets in a system call, when there are many
  kSyscalls,  // each with one of its own
};

// One queue of a TAP interface.
class Tap final : public PacketPort {
 public:
  enum class IfAbsent { kCreate, kFail };

  // Opens so many queues of the interface `name`, or creates it. Offloads off,
  // header of 12 bytes. An interface created here outlives the process (so
  // that its addresses and routes survive a crash) until Remove(). What exists
  // is asked of the TUN driver, in the network namespace of the calling thread:
  // /sys may be another namespace's.
  //
  // Takes the rtnl lock: never on the way to an answer the kernel waits for.
  //   NotFound: kFail, and there is none.
  //   FailedPrecondition: another process has it open.
  static absl::StatusOr<std::vector<Tap>> Open(
      const std::string& name, uint32_t queues,
      IfAbsent if_absent = IfAbsent::kCreate);

  // Any descriptor with the semantics of a TAP queue.
  explicit Tap(base::UniqueFd fd) : fd_(std::move(fd)) {}

  // PacketPort
  size_t at_once(size_t packets) const override {
    return UseUring(packets) ? packets : kSyscallsAtOnce;
  }
  void Read(std::span<Io> packets) override;
  void Write(std::span<Io> packets) override;

  // Takes up io_uring, if `engine` has it; an error is Uring::Create()'s, and
  // leaves system calls. On the thread that will read and write.
  absl::Status StartEngine(Engine engine);

  int fd() const { return fd_.get(); }

  // Has the kernel hand out packets with what the driver accepts (`flags` of
  // TUNSETOFFLOAD). Holds for all queues. Takes the rtnl lock.
  absl::Status SetOffloads(unsigned flags);

  // Whether the kernel gives packets to this queue of several. Takes the rtnl
  // lock.
  absl::Status SetAttached(bool attached);

  // Whether packets may be UDP to be segmented: the kernel knows of it.
  bool knows_uso() const { return knows_uso_; }

  // Whether Open() made the interface.
  bool created() const { return created_; }

  // Lets an interface go with its last descriptor. Takes the rtnl lock.
  absl::Status Remove();

 private:
  // A system call by itself is less than what io_uring takes for so few.
  static constexpr size_t kUringFrom = 4;
  // So many before the driver is shown what became of them: one that polls
  // takes the ring's cache lines away whenever there is something new.
  static constexpr size_t kSyscallsAtOnce = 8;

  static absl::StatusOr<Tap> OpenQueue(const std::string& name, int flags);
  static absl::StatusOr<Tap> OpenFirst(const std::string& name, uint32_t queues,
                                       IfAbsent if_absent, int& flags);

  bool UseUring(size_t packets) const {
    return packets >= kUringFrom && uring_ && uring_->usable();
  }

  base::UniqueFd fd_;
  std::unique_ptr<Uring> uring_;
  bool created_ = false;
  bool knows_uso_ = false;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_TAP_H_
