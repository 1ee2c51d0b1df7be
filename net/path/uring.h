// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_URING_H_
#define VDUSE_NET_NET_PATH_URING_H_

#include <liburing.h>

#include <memory>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "net/path/packet_port.h"
#include "net/path/pair_journal.h"

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
  // With a `journal` that a successor can read, the rings are in the journal's
  // memory if the kernel allows it (Linux 6.5).
  static absl::StatusOr<std::unique_ptr<Uring>> Create(
      int fd, PairJournal* journal = nullptr);

  ~Uring();
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;

  // Reads or writes up to kMaxBatch packets in order; none of them waits. The
  // kernel moves all of them and then posts all results, even if the process is
  // killed meanwhile. If
  // the instance itself fails, packets without a result get EIO, and the ring
  // is no longer usable().
  void Transfer(Op op, std::span<Io> packets);
  bool usable() const { return open_; }
  // Whether a successor finds the results in the journal.
  bool in_journal() const { return in_journal_; }

 private:
  Uring() = default;
  int Init(PairJournal* journal);
  void Close();

  io_uring ring_ = {};
  bool open_ = false;
  bool in_journal_ = false;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_URING_H_
