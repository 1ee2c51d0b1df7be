// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_MAPPING_H_
#define VDUSE_NET_VDUSE_MAPPING_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "vduse/memory_file.h"
#include "vduse/sigbus_guard.h"

namespace vduse {

// Part of a file, mapped into this process. The mapping is guarded against
// SIGBUS and excluded from core dumps and from child processes. Immutable; any
// thread.
class Mapping {
 public:
  // Maps at least bytes [offset, offset + bytes) of the file, in whole pages.
  // `bytes` must not be 0. `protection` is mmap's.
  static absl::StatusOr<std::shared_ptr<const Mapping>> Create(
      int fd, const MemoryFile& file, uint64_t offset, uint64_t bytes,
      int protection);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  // Whether the mapping contains bytes [offset, offset + bytes) of the file.
  bool Holds(uint64_t offset, uint64_t bytes) const {
    return offset >= offset_ && bytes <= size_ &&
           offset - offset_ <= size_ - bytes;
  }
  // A pointer to byte `offset` of the file, which the mapping must contain.
  uint8_t* At(uint64_t offset) const { return base_ + (offset - offset_); }

  // Whether a page was found to have no memory behind it. A private page has
  // replaced it.
  bool poisoned() const {
    return guard_.poisoned.load(std::memory_order_relaxed);
  }

  // The number of Mapping objects in this process.
  static size_t live();

 private:
  Mapping(uint8_t* base, size_t size, uint64_t offset, size_t page_size);

  uint8_t* const base_;
  const size_t size_;
  const uint64_t offset_;  // in the file
  SigbusGuard::Slot& guard_;
};

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_MAPPING_H_
