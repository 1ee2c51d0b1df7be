// SPDX-License-Identifier: Apache-2.0
#include "vduse/mapping.h"

#include <errno.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <atomic>
#include <cstring>

#include "base/log.h"

namespace vduse {
namespace {

std::atomic<size_t> live_mappings{0};

void Unmap(void* base, size_t size) {
  if (munmap(base, size) == 0) return;
  base::Log(base::Severity::kError,
            "munmap of {} bytes of driver memory: {}; they stay mapped", size,
            std::strerror(errno));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Mapping>> Mapping::Create(
    int fd, const MemoryFile& file, uint64_t offset, uint64_t bytes,
    int protection) {
  const uint64_t mask = file.page_size - 1;
  const uint64_t first = offset & ~mask;
  if (offset > INT64_MAX - mask || bytes > INT64_MAX - mask - offset) {
    return absl::OutOfRangeError("driver memory beyond the end of any file");
  }
  const uint64_t size = ((offset + bytes + mask) & ~mask) - first;
  // In hugetlbfs, a writable mapping beyond the end of a file would extend the
  // file; hence PROT_READ first. MAP_NORESERVE, because whoever created the
  // file has reserved its huge pages, and this mapping must not take more.
  const int at_first = file.huge ? PROT_READ : protection;
  void* base = mmap(nullptr, size, at_first, MAP_SHARED | MAP_NORESERVE, fd,
                    static_cast<off_t>(first));
  if (base == MAP_FAILED) {
    return absl::ErrnoToStatus(
        errno, fmt::format("mmap of {} bytes of driver memory", size));
  }
  if (at_first != protection && mprotect(base, size, protection) != 0) {
    const int error = errno;
    Unmap(base, size);
    return absl::ErrnoToStatus(error, "mprotect of driver memory");
  }
  madvise(base, size, MADV_DONTDUMP);
  // MADV_DONTFORK, because the administration process may be forked again.
  if (madvise(base, size, MADV_DONTFORK) != 0) {
    const int error = errno;
    Unmap(base, size);
    return absl::ErrnoToStatus(error, "MADV_DONTFORK of driver memory");
  }
  return std::shared_ptr<const Mapping>(
      new Mapping(static_cast<uint8_t*>(base), size, first, file.page_size));
}

Mapping::Mapping(uint8_t* base, size_t size, uint64_t offset, size_t page_size)
    : base_(base),
      size_(size),
      offset_(offset),
      guard_(SigbusGuard::Register(base, size, page_size)) {
  live_mappings.fetch_add(1, std::memory_order_relaxed);
}

Mapping::~Mapping() {
  live_mappings.fetch_sub(1, std::memory_order_relaxed);
  SigbusGuard::Unregister(guard_);
  Unmap(base_, size_);
}

size_t Mapping::live() { return live_mappings.load(std::memory_order_relaxed); }

}  // namespace vduse
