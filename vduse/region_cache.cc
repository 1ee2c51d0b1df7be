// SPDX-License-Identifier: Apache-2.0
#include "vduse/region_cache.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "base/log.h"
#include "vduse/device.h"
#include "vduse/memory_file.h"

namespace vduse {
namespace {

// More than the address space of a process: no mapping can be this long.
constexpr uint64_t kMaxRegionBytes = 1ULL << 47;

// The kernel's default of vm.max_map_count, used if it cannot be read.
constexpr size_t kUsualMapCount = 65530;
// Mappings left to the rest of the program, in addition to an eighth of all.
constexpr size_t kOtherMappings = 1024;

size_t MappingLimit() {
  size_t count = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> count;
  if (count == 0) count = kUsualMapCount;
  const size_t kept = count / 8 + kOtherMappings;
  return count > 2 * kept ? count - kept : count / 2;
}

}  // namespace

RegionCache::RegionCache(Device& device)
    : device_(device), limit_(MappingLimit()) {}

void RegionCache::SetLimit(size_t mappings) {
  const base::MutexLock lock(mutex_);
  limit_ = mappings;
}

absl::StatusOr<Region> RegionCache::Find(uint32_t asid, uint64_t iova) {
  // Held during the look-up. A region that is withdrawn meanwhile is then
  // either dropped after it was added here, or not found.
  const base::MutexLock lock(mutex_);
  auto next = regions_.upper_bound({asid, iova});
  if (next != regions_.begin()) {
    const auto& [key, region] = *std::prev(next);
    if (key.first == asid && iova <= region.last) return region;
  }
  absl::StatusOr<IotlbRegion> found = device_.LookupIotlb(asid, iova);
  if (!found.ok()) return found.status();
  if (found->start > iova || found->last < iova ||
      found->last - found->start >= kMaxRegionBytes) {
    return absl::NotFoundError("");
  }
  absl::StatusOr<Region> region = Load(*found);
  if (!region.ok()) return region;
  // Older regions that overlap this one have been withdrawn.
  while (next != regions_.end() && next->first.first == asid &&
         next->second.start <= region->last) {
    next = regions_.erase(next);
  }
  while (next != regions_.begin()) {
    const auto previous = std::prev(next);
    if (previous->first.first != asid ||
        previous->second.last < region->start) {
      break;
    }
    next = regions_.erase(previous);
  }
  regions_.insert(next, {{asid, region->start}, *region});
  return region;
}

absl::StatusOr<Region> RegionCache::Load(const IotlbRegion& found) {
  const uint64_t bytes = found.last - found.start + 1;
  if (found.offset > INT64_MAX - bytes) return absl::NotFoundError("");
  const int protection =
      (found.readable ? PROT_READ : 0) | (found.writable ? PROT_WRITE : 0);
  absl::StatusOr<Memory> memory = Map(found, bytes, protection);
  if (!memory.ok()) return memory.status();
  return Region{.start = found.start,
                .last = found.last,
                .readable = found.readable,
                .writable = found.writable,
                .base = (*memory)->At(found.offset),
                .memory = *memory};
}

absl::StatusOr<RegionCache::Memory> RegionCache::Map(const IotlbRegion& found,
                                                     uint64_t bytes,
                                                     int protection) {
  const int fd = found.fd.get();
  const absl::StatusOr<MemoryFile> file = JudgeMemoryFile(fd);
  if (!file.ok()) return file.status();
  const FileKey key{file->device, file->inode, protection};
  if (file->identified) {
    const auto it = files_.find(key);
    // As long as the file is mapped, its inode number is not reused.
    Memory known = it != files_.end() ? it->second.lock() : nullptr;
    if (known && known->Holds(found.offset, bytes) && !known->poisoned()) {
      return known;
    }
  }
  if (absl::Status room = MakeRoom(); !room.ok()) return room;
  absl::StatusOr<Memory> memory = absl::UnknownError("");
  if (file->identified && found.offset < file->bytes) {
    memory = Mapping::Create(
        fd, *file, 0, std::max(file->bytes, found.offset + bytes), protection);
  }
  // The whole file may be larger than what can be mapped.
  if (!memory.ok()) {
    memory = Mapping::Create(fd, *file, found.offset, bytes, protection);
  }
  if (!memory.ok()) {
    if (absl::IsResourceExhausted(memory.status())) RunShort();  // ENOMEM
    return memory;
  }
  if (file->identified) files_[key] = *memory;
  return memory;
}

// Checks that there is room for another mapping; call before making one.
absl::Status RegionCache::MakeRoom() {
  if (files_.size() > 2 * files_at_sweep_ + 64) {
    std::erase_if(files_, [](const auto& f) { return f.second.expired(); });
    files_at_sweep_ = files_.size();
  }
  const size_t live = Mapping::live();
  ++made_since_shortage_;
  if (live >= limit_) {
    RunShort();
    return absl::ResourceExhaustedError(
        fmt::format("{} mappings of driver memory", live));
  }
  // Asks holders for room before the limit is reached, as it takes them a step
  // to release any. Not on every call, to give them that time.
  if (live >= limit_ - limit_ / 8 && made_since_shortage_ > limit_ / 32) {
    RunShort();
  }
  return absl::OkStatus();
}

void RegionCache::RunShort() {
  made_since_shortage_ = 0;
  shortage_.fetch_add(1, std::memory_order_relaxed);
  if (std::exchange(shortage_said_, true)) return;
  base::Log(base::Severity::kWarning,
            "the driver's memory needs more than {} mappings: the least "
            "recently used are dropped and made again later, which takes time "
            "and can cost packets. Raise vm.max_map_count and restart, or have "
            "the VMM use fewer and larger files",
            limit_);
}

void RegionCache::Drop(uint32_t asid, uint64_t first, uint64_t last) {
  std::vector<Memory> dropped;  // destroyed, and so unmapped, after the unlock
  const base::MutexLock lock(mutex_);
  auto it = regions_.upper_bound({asid, first});
  if (it != regions_.begin()) --it;  // its end may lie beyond `first`
  while (it != regions_.end() && it->first <= std::pair(asid, last)) {
    if (it->first.first == asid && it->second.last >= first) {
      dropped.push_back(std::move(it->second.memory));
      it = regions_.erase(it);
    } else {
      ++it;
    }
  }
}

void RegionCache::DropPoisoned() {
  std::vector<Memory> dropped;
  const base::MutexLock lock(mutex_);
  std::erase_if(regions_, [&](auto& entry) {
    if (!entry.second.memory->poisoned()) return false;
    dropped.push_back(std::move(entry.second.memory));
    return true;
  });
}

}  // namespace vduse
