// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_URING_H_
#define VDUSE_NET_NET_PATH_URING_H_

#include <liburing.h>

#include <memory>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "net/path/io.h"

namespace net {

// Reads or writes several packets of a TAP queue in one system call.
//
// Nothing stays under way between two calls. The ring refers to the TAP, as a
// descriptor does, until it is destroyed. Of a killed process, or destroyed by
// another thread, until the kernel has taken it down, a moment later.
//
// One thread, the one that called Create().
class Uring {
 public:
  enum class Op { kRead, kWrite };

  // Unavailable where the kernel has no io_uring for this process, or cannot
  // read and write `fd` without waiting (before Linux 6.4). The text says
  // which.
  static absl::StatusOr<std::unique_ptr<Uring>> Create(int fd);

  ~Uring();
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;

  // Up to kMaxBatch packets, in order, none of which waits. If the ring itself
  // fails, they have with EIO, and it is of no more use.
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
