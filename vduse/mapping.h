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

// Part of a file, mapped into this process: guarded against SIGBUS, in no core
// dump, and in no child's memory. Never changes; any thread.
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

  // Whether it has bytes [offset, offset + bytes) of the file.
  bool Holds(uint64_t offset, uint64_t bytes) const {
    return offset >= offset_ && bytes <= size_ &&
           offset - offset_ <= size_ - bytes;
  }
  // Where byte `offset` of the file is; it must hold that.
  uint8_t* At(uint64_t offset) const { return base_ + (offset - offset_); }

  // Some page of it was found to have nothing behind it, and is private now.
  bool poisoned() const {
    return guard_.poisoned.load(std::memory_order_relaxed);
  }

  // How many there are in this process.
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
