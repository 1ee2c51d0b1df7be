// SPDX-License-Identifier: Apache-2.0
#include "net/path/uring.h"

#include <errno.h>
#include <fmt/format.h>
#include <sys/uio.h>

#include <cstring>
#include <optional>
#include <utility>

#include "net/wire/header.h"

namespace net {
namespace {

constexpr int kTapIndex = 0;  // index among the ring's registered files
// The part of an operation's tag that is the packet's index in the call.
constexpr uint64_t kIndexMask = 0xff;

absl::Status NotHere(const char* what, int error) {
  return absl::UnavailableError(
      fmt::format("{}: {}", what, std::strerror(error)));
}

// Whether reads and writes of `fd` can be told not to wait. The write has a
// null buffer, so it never sends a packet, but the kernel checks the flag
// first.
bool CanBeToldNotToWait(int fd) {
  const iovec nowhere = {.iov_base = nullptr, .iov_len = kHeaderBytes};
  return pwritev2(fd, &nowhere, 1, -1, RWF_NOWAIT) >= 0 || errno != EOPNOTSUPP;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Uring>> Uring::Create(int fd,
                                                     PairJournal* journal) {
  if (!CanBeToldNotToWait(fd)) {
    return absl::UnavailableError(
        "this kernel's TAP cannot be told not to wait (needs Linux 6.4)");
  }
  std::unique_ptr<Uring> uring(new Uring);
  int error = -uring->Init(journal);
  if (error != 0) return NotHere("io_uring_setup", error);
  uring->open_ = true;
  error = -io_uring_register_files(&uring->ring_, &fd, 1);
  if (error != 0) return NotHere("io_uring_register", error);
  error = -io_uring_register_ring_fd(&uring->ring_);
  if (error > 0) return NotHere("io_uring_register", error);
  return uring;
}

Uring::~Uring() { Close(); }

int Uring::Init(PairJournal* journal) {
  // All operations complete during submission: no completion interrupts the
  // thread.
  constexpr unsigned kFlags =
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  if (journal != nullptr && journal->kept()) {
    const std::optional<UringMemory> memory = journal->NextRing();
    in_journal_ = memory && InitUringIn(*memory, kFlags, ring_) == 0;
    if (in_journal_) return 0;
  }
  return io_uring_queue_init(kSubmissions, &ring_, kFlags);
}

void Uring::Close() {
  if (!std::exchange(open_, false)) return;
  // The kernel takes the ring down later, and with it any reference that is
  // left.
  io_uring_unregister_files(&ring_);
  if (in_journal_) {
    ExitUringIn(ring_);
  } else {
    io_uring_queue_exit(&ring_);
  }
}

void Uring::Transfer(Op op, std::span<Io> packets) {
  for (Io& packet : packets) packet.result = {.error = EIO};
  if (!open_) return;
  for (size_t i = 0; i < packets.size(); ++i) {
    const Io& packet = packets[i];
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    const auto count = static_cast<unsigned>(packet.segments.size());
    const iovec& first = packet.segments.front();
    const auto bytes = static_cast<unsigned>(first.iov_len);
    if (op == Op::kRead && count == 1) {
      io_uring_prep_read(sqe, kTapIndex, first.iov_base, bytes, 0);
    } else if (op == Op::kRead) {
      io_uring_prep_readv(sqe, kTapIndex, packet.segments.data(), count, 0);
    } else if (count == 1) {
      io_uring_prep_write(sqe, kTapIndex, first.iov_base, bytes, 0);
    } else {
      io_uring_prep_writev(sqe, kTapIndex, packet.segments.data(), count, 0);
    }
    sqe->rw_flags = RWF_NOWAIT;
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, packet.tag | i);
  }
  for (size_t done = 0; done < packets.size();) {
    const auto missing = static_cast<unsigned>(packets.size() - done);
    const int submitted = io_uring_submit_and_wait(&ring_, missing);
    io_uring_cqe* cqe = nullptr;
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      packets[cqe->user_data & kIndexMask].result =
          cqe->res < 0 ? IoResult{.error = -cqe->res}
                       : IoResult{.bytes = static_cast<size_t>(cqe->res)};
      ++seen;
    }
    io_uring_cq_advance(&ring_, seen);
    done += seen;
    if (submitted < 0 && submitted != -EINTR && submitted != -EAGAIN) Close();
    if (!open_) return;
  }
}

}  // namespace net
