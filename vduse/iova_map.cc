// SPDX-License-Identifier: Apache-2.0
#include "vduse/iova_map.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace vduse {
namespace {

// More than the address space of a process: no mapping can be this long.
constexpr uint64_t kMaxRegionBytes = 1ULL << 47;

}  // namespace

IovaMap::~IovaMap() { DropAll(); }

IovaMap::Piece IovaMap::Find(uint64_t iova, uint64_t size, Access access) {
  const Region* region = Lookup(iova);
  if (region == nullptr) region = Load(iova);
  if (region == nullptr) return {};
  const bool allowed =
      access == Access::kRead ? region->readable : region->writable;
  if (!allowed) return {};
  // `last` is inclusive and may be the last address there is.
  const uint64_t rest = region->last - iova;
  return {.data = region->base + (iova - region->start),
          .size = size - 1 > rest ? rest + 1 : size};
}

uint8_t* IovaMap::FindWhole(uint64_t iova, uint64_t size, Access access) {
  if (size == 0 || iova + (size - 1) < iova) return nullptr;
  const Piece piece = Find(iova, size, access);
  return piece.size == size ? piece.data : nullptr;
}

bool IovaMap::CopyIn(uint64_t iova, void* to, uint64_t size) {
  if (size == 0) return true;
  if (iova + (size - 1) < iova) return false;
  auto* out = static_cast<uint8_t*>(to);
  while (size > 0) {
    const Piece piece = Find(iova, size, Access::kRead);
    if (piece.data == nullptr) return false;
    std::memcpy(out, piece.data, piece.size);
    out += piece.size;
    iova += piece.size;
    size -= piece.size;
  }
  return true;
}

void IovaMap::SetAsid(uint32_t asid) {
  if (asid == asid_) return;
  DropAll();
  asid_ = asid;
}

void IovaMap::Drop(uint64_t first, uint64_t last) {
  std::erase_if(regions_, [&](const Region& region) {
    const bool overlaps = region.start <= last && region.last >= first;
    if (overlaps) Unmap(region);
    return overlaps;
  });
  last_hit_ = 0;
}

void IovaMap::DropAll() { Drop(0, UINT64_MAX); }

bool IovaMap::Trim() {
  if (regions_.size() <= kMaxRegions) return false;
  DropAll();
  return true;
}

bool IovaMap::TakePoisoned() {
  const uint64_t count = SigbusGuard::poison_count();
  if (count == poison_seen_) return false;
  poison_seen_ = count;
  bool poisoned = false;
  for (const Region& region : regions_) {
    if (SigbusGuard::TakePoisoned(*region.guard)) poisoned = true;
  }
  return poisoned;
}

const IovaMap::Region* IovaMap::Lookup(uint64_t iova) {
  if (last_hit_ < regions_.size()) {
    const Region& hit = regions_[last_hit_];
    if (hit.start <= iova && iova <= hit.last) return &hit;
  }
  auto it = std::upper_bound(
      regions_.begin(), regions_.end(), iova,
      [](uint64_t value, const Region& r) { return value < r.start; });
  if (it == regions_.begin()) return nullptr;
  --it;
  if (iova > it->last) return nullptr;
  last_hit_ = static_cast<size_t>(it - regions_.begin());
  return &*it;
}

const IovaMap::Region* IovaMap::Load(uint64_t iova) {
  absl::StatusOr<IotlbRegion> found = device_.LookupIotlb(asid_, iova);
  if (!found.ok()) return nullptr;
  if (found->start > iova || found->last < iova) return nullptr;
  if (found->last - found->start >= kMaxRegionBytes) return nullptr;
  const uint64_t page_mask = static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) - 1;
  const uint64_t lead = found->offset & page_mask;
  const uint64_t bytes = found->last - found->start + 1 + lead;
  if (found->offset > INT64_MAX - bytes) return nullptr;
  const int prot =
      (found->readable ? PROT_READ : 0) | (found->writable ? PROT_WRITE : 0);
  void* map = mmap(nullptr, bytes, prot, MAP_SHARED, found->fd.get(),
                   static_cast<off_t>(found->offset - lead));
  if (map == MAP_FAILED) return nullptr;
  madvise(map, bytes, MADV_DONTDUMP);
  SigbusGuard::Slot* guard = SigbusGuard::Register(map, bytes);
  if (guard == nullptr) {
    munmap(map, bytes);
    return nullptr;
  }
  // The kernel's answer may overlap what was cached if the driver remapped
  // memory: the newer one counts, but pointers handed out in this step must
  // stay valid, so an overlap is treated as not mapped until the update
  // message arrives.
  auto it = std::upper_bound(
      regions_.begin(), regions_.end(), found->start,
      [](uint64_t value, const Region& r) { return value < r.start; });
  const bool overlaps_next = it != regions_.end() && it->start <= found->last;
  const bool overlaps_previous =
      it != regions_.begin() && (it - 1)->last >= found->start;
  const Region region{.start = found->start,
                      .last = found->last,
                      .readable = found->readable,
                      .writable = found->writable,
                      .base = static_cast<uint8_t*>(map) + lead,
                      .map_base = map,
                      .map_size = bytes,
                      .guard = guard};
  if (overlaps_next || overlaps_previous) {
    Unmap(region);
    return nullptr;
  }
  it = regions_.insert(it, region);
  last_hit_ = static_cast<size_t>(it - regions_.begin());
  return &*it;
}

void IovaMap::Unmap(const Region& region) {
  SigbusGuard::Unregister(*region.guard);
  munmap(region.map_base, region.map_size);
}

}  // namespace vduse
