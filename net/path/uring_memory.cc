// SPDX-License-Identifier: Apache-2.0
//
// What io_uring_queue_init_mem() of liburing 2.5 does; older ones do not have
// it. The kernel's structs have the same size in all versions, but the last
// word of the offsets has a name only in newer headers.
#include "net/path/uring_memory.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace net {
namespace {

constexpr uint32_t kSetupNoMmap = 1U << 14;  // IORING_SETUP_NO_MMAP
constexpr size_t kPageBytes = 4096;

// Where the kernel takes the address of the memory, at the end of the offsets
// (user_addr).
template <typename Offsets>
void SetUserAddr(Offsets& offsets, const void* memory) {
  static_assert(sizeof(Offsets) == 40);
  const uint64_t address = reinterpret_cast<uintptr_t>(memory);
  std::memcpy(reinterpret_cast<uint8_t*>(&offsets) + 32, &address,
              sizeof(address));
}

// Whether everything lies within the page.
bool Fits(const io_uring_params& params) {
  const io_sqring_offsets& sq = params.sq_off;
  const io_cqring_offsets& cq = params.cq_off;
  const auto holds = [](uint64_t offset, uint64_t bytes) {
    return offset % sizeof(uint32_t) == 0 && offset + bytes <= kPageBytes;
  };
  for (const uint32_t word :
       {sq.head, sq.tail, sq.ring_mask, sq.ring_entries, sq.flags, sq.dropped,
        cq.head, cq.tail, cq.ring_mask, cq.ring_entries, cq.overflow}) {
    if (!holds(word, sizeof(uint32_t))) return false;
  }
  return params.sq_entries == kSubmissions &&
         params.cq_entries == kCompletions &&
         holds(sq.array, kSubmissions * sizeof(uint32_t)) &&
         cq.cqes % alignof(io_uring_cqe) == 0 &&
         holds(cq.cqes, kCompletions * sizeof(io_uring_cqe));
}

}  // namespace

int InitUringIn(const UringMemory& memory, unsigned flags, io_uring& ring) {
  static_assert(kSubmissions * sizeof(io_uring_sqe) <= kPageBytes);
  io_uring_params params = {};
  params.flags = flags | kSetupNoMmap;
  SetUserAddr(params.sq_off, memory.sqes);
  SetUserAddr(params.cq_off, memory.rings);
  const auto fd =
      static_cast<int>(syscall(__NR_io_uring_setup, kSubmissions, &params));
  if (fd < 0) return -errno;
  if (!Fits(params)) {
    close(fd);
    return -EOVERFLOW;
  }
  const auto word = [&](uint32_t offset) {
    return reinterpret_cast<unsigned*>(memory.rings + offset);
  };
  ring = {};
  ring.ring_fd = ring.enter_ring_fd = fd;
  ring.flags = params.flags;
  ring.features = params.features;
  io_uring_sq& sq = ring.sq;
  sq.khead = word(params.sq_off.head);
  sq.ktail = word(params.sq_off.tail);
  sq.kring_mask = word(params.sq_off.ring_mask);
  sq.kring_entries = word(params.sq_off.ring_entries);
  sq.kflags = word(params.sq_off.flags);
  sq.kdropped = word(params.sq_off.dropped);
  sq.array = word(params.sq_off.array);
  sq.sqes = reinterpret_cast<io_uring_sqe*>(memory.sqes);
  sq.ring_entries = kSubmissions;
  sq.ring_mask = kSubmissions - 1;
  io_uring_cq& cq = ring.cq;
  cq.khead = word(params.cq_off.head);
  cq.ktail = word(params.cq_off.tail);
  cq.kring_mask = word(params.cq_off.ring_mask);
  cq.kring_entries = word(params.cq_off.ring_entries);
  cq.koverflow = word(params.cq_off.overflow);
  cq.cqes = reinterpret_cast<io_uring_cqe*>(memory.rings + params.cq_off.cqes);
  cq.ring_entries = kCompletions;
  cq.ring_mask = kCompletions - 1;
  // Entry N of the array always names submission N.
  for (uint32_t i = 0; i < kSubmissions; ++i) sq.array[i] = i;
  *memory.completions = params.cq_off.cqes;
  return 0;
}

void ExitUringIn(io_uring& ring) {
  io_uring_unregister_ring_fd(&ring);
  close(ring.ring_fd);
}

}  // namespace net
