// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_URING_H_
#define VDUSE_NET_NET_PATH_URING_H_

#include <liburing.h>

#include <memory>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "net/path/packet_port.h"

namespace net {

// Reads or writes several packets of a TAP queue in one system call.
//
// No operation is in flight between two calls. The io_uring instance holds
// a reference to the TAP, as a descriptor does, until it is destroyed. If the
// process is killed, or another thread destroys the instance, the reference
// lasts until the kernel has taken the instance down, a moment later.
//
// One thread, the one that called Create().
class Uring {
 public:
  enum class Op { kRead, kWrite };

  // Creates an instance for `fd`.
  //   Unavailable: the kernel has no io_uring for this process, or cannot read
  //     and write `fd` without waiting (before Linux 6.4). The text says which.
  static absl::StatusOr<std::unique_ptr<Uring>> Create(int fd);

  ~Uring();
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;

  // Reads or writes up to kMaxBatch packets in order; none of them waits. If
  // the instance itself fails, packets without a result get EIO, and the ring
  // is no longer usable().
  void Transfer(Op op, std::span<Io> packets);
  bool usable() const { return open_; }

 private:
  Uring() = default;
  void Close();

  io_uring ring_ = {};
  bool open_ = false;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_URING_H_
