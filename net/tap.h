// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_TAP_H_
#define VDUSE_NET_NET_TAP_H_

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace net {

// Outcome of one packet read or written.
struct IoResult {
  size_t bytes = 0;
  int error = 0;  // errno, 0 on success
};

// One queue of a TAP interface: a packet per call, each behind a
// VirtioNetHeader. Non-blocking. One thread.
class Tap {
 public:
  // Opens the interface `name`, or creates it. Offloads off, header of 12
  // bytes. An interface created here outlives the process (so that its
  // addresses and routes survive a crash) until Remove().
  //
  // Takes the rtnl lock: never on the way to an answer the kernel waits for.
  static absl::StatusOr<Tap> Open(const std::string& name);

  // Any descriptor with the semantics of a TAP queue.
  explicit Tap(base::UniqueFd fd) : fd_(std::move(fd)) {}

  IoResult Read(std::span<const iovec> to) {
    const ssize_t n = readv(fd_.get(), to.data(), static_cast<int>(to.size()));
    return Result(n);
  }
  IoResult Write(std::span<const iovec> from) {
    const ssize_t n =
        writev(fd_.get(), from.data(), static_cast<int>(from.size()));
    return Result(n);
  }

  int fd() const { return fd_.get(); }

  // Has the kernel hand out packets with what the driver accepts (`flags` of
  // TUNSETOFFLOAD). Holds for all queues. Takes the rtnl lock.
  absl::Status SetOffloads(unsigned flags);

  // Whether packets may be UDP to be segmented: the kernel knows of it.
  bool knows_uso() const { return knows_uso_; }

  // Whether Open() made the interface.
  bool created() const { return created_; }

  // Lets an interface go with its last descriptor. Takes the rtnl lock.
  absl::Status Remove();

 private:
  static IoResult Result(ssize_t n) {
    if (n >= 0) return {.bytes = static_cast<size_t>(n)};
    return {.error = errno};
  }

  base::UniqueFd fd_;
  bool created_ = false;
  bool knows_uso_ = false;
};

}  // namespace net

#endif  // VDUSE_NET_NET_TAP_H_
