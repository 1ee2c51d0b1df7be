// SPDX-License-Identifier: Apache-2.0
//
// What a TAP can do at most: loops without rings, checks or notifications.
#include <errno.h>
#include <liburing.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <cstring>
#include <memory>
#include <utility>

#include "net/wire/header.h"
#include "tests/bench/bench_tap.h"
#include "tests/bench/lane.h"
#include "tests/tools/flags.h"

namespace bench {
namespace {

constexpr unsigned kBatch = 32;

// The memory that a ring's buffers would be, of the same kind, walked round and
// round.
class Buffers {
 public:
  Buffers(uint32_t count, size_t bytes) : count_(count), bytes_(bytes) {
    void* map = mmap(nullptr, count * bytes, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (map == MAP_FAILED) tools::DieErrno("mmap of buffers");
    memory_ = static_cast<uint8_t*>(map);
  }
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;
  ~Buffers() { munmap(memory_, count_ * bytes_); }

  uint8_t* Next() {
    if (next_ == count_) next_ = 0;
    return memory_ + bytes_ * next_++;
  }
  size_t bytes() const { return bytes_; }

 private:
  const uint32_t count_;
  const size_t bytes_;
  uint8_t* memory_;
  uint32_t next_ = 0;
};

class RawLane : public Lane {
 protected:
  RawLane(base::UniqueFd tap, const LaneOptions& options)
      : shape_(options.shape),
        tap_(std::move(tap)),
        packet_bytes_(net::kHeaderBytes + shape_.frame_bytes),
        tx_(options.queue_size, packet_bytes_),
        rx_(options.queue_size,
            net::kHeaderBytes +
                (shape_.frame_bytes > 2048 ? net::kMaxFrameBytes : 2036)) {
    const auto packet = MakePacket(shape_.frame_bytes, 9);
    for (uint32_t i = 0; i < options.queue_size; ++i) {
      std::memcpy(tx_.Next(), packet.data(), packet.size());
    }
  }

  // False if there was nothing to read.
  bool Check(int64_t result) const {
    if (result == -EAGAIN) return false;
    if (result != static_cast<int64_t>(packet_bytes_)) {
      tools::Die("the TAP moved {} bytes of {}", result, packet_bytes_);
    }
    return true;
  }

  const Shape shape_;
  const base::UniqueFd tap_;
  const size_t packet_bytes_;
  Buffers tx_;
  Buffers rx_;
};

class SyscallLane final : public RawLane {
 public:
  SyscallLane(base::UniqueFd tap, const LaneOptions& options)
      : RawLane(std::move(tap), options) {}

  Traffic Burst() override {
    Traffic traffic;
    for (unsigned i = 0; i < kBatch; ++i) {
      if (shape_.tx() && Done(writev(tap_.get(), Split(tx_), 2))) {
        ++traffic.written;
      }
      if (shape_.rx()) {
        if (!Done(readv(tap_.get(), Split(rx_), 2))) break;
        ++traffic.read;
      }
    }
    return traffic;
  }

 private:
  const iovec* Split(Buffers& buffers) {
    uint8_t* at = buffers.Next();
    iov_[0] = {.iov_base = at, .iov_len = net::kHeaderBytes};
    iov_[1] = {.iov_base = at + net::kHeaderBytes,
               .iov_len = buffers.bytes() - net::kHeaderBytes};
    return iov_;
  }
  bool Done(ssize_t result) const {
    return Check(result < 0 ? -errno : result);
  }

  iovec iov_[2];
};

class UringLane final : public RawLane {
 public:
  UringLane(base::UniqueFd tap, const LaneOptions& options)
      : RawLane(std::move(tap), options) {
    const unsigned fastest =
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    int result = io_uring_queue_init(kBatch, &ring_, fastest);
    if (result == -EINVAL) result = io_uring_queue_init(kBatch, &ring_, 0);
    const int fd = tap_.get();
    if (result == 0) result = io_uring_register_files(&ring_, &fd, 1);
    if (result == 0) result = io_uring_register_ring_fd(&ring_) - 1;
    if (result != 0) tools::Die("io_uring: {}", std::strerror(-result));
  }
  // The ring is torn down later, and is not to keep the TAP until then.
  ~UringLane() override {
    io_uring_unregister_files(&ring_);
    io_uring_queue_exit(&ring_);
  }

  Traffic Burst() override {
    Traffic traffic;
    if (shape_.tx()) traffic.written = Transfer(io_uring_prep_write, tx_);
    if (shape_.rx()) traffic.read = Transfer(io_uring_prep_read, rx_);
    return traffic;
  }

 private:
  // A batch of packets; how many were moved.
  template <typename Prepare>
  uint64_t Transfer(Prepare prepare, Buffers& buffers) {
    for (unsigned i = 0; i < kBatch; ++i) {
      io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
      prepare(sqe, 0, buffers.Next(), static_cast<unsigned>(buffers.bytes()),
              0);
      // O_NONBLOCK alone has io_uring wait where there is nothing to read.
      sqe->rw_flags = RWF_NOWAIT;
      sqe->flags |= IOSQE_FIXED_FILE;
    }
    const int submitted = io_uring_submit_and_wait(&ring_, kBatch);
    if (submitted != static_cast<int>(kBatch)) {
      tools::Die("io_uring_submit_and_wait: {}", submitted);
    }
    uint64_t moved = 0;
    io_uring_cqe* cqe;
    unsigned head;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      if (Check(cqe->res)) ++moved;
    }
    io_uring_cq_advance(&ring_, kBatch);
    return moved;
  }

  io_uring ring_ = {};
};

}  // namespace

std::unique_ptr<Lane> MakeSyscallLane(base::UniqueFd tap,
                                      const LaneOptions& options) {
  return std::make_unique<SyscallLane>(std::move(tap), options);
}

std::unique_ptr<Lane> MakeUringLane(base::UniqueFd tap,
                                    const LaneOptions& options) {
  return std::make_unique<UringLane>(std::move(tap), options);
}

}  // namespace bench
