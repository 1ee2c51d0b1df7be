// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_IOVA_MAP_H_
#define VDUSE_NET_VDUSE_IOVA_MAP_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "vduse/device.h"
#include "vduse/region_cache.h"

namespace vduse {

enum class Access { kRead, kWrite };

// Translates the driver's addresses into pointers of this process. Filled
// lazily, a region at a time, from what the maps of a device share.
//
// One thread. A pointer obtained here is good until the next Drop(),
// DropAll() or Trim(), which are called between two steps of the owner: that
// is what makes "drop, then answer the kernel" a complete quiesce.
class IovaMap {
 public:
  // A piece of one region.
  struct Piece {
    uint8_t* data = nullptr;  // null: not mapped, or not with this access
    uint64_t size = 0;        // bytes, at most what was asked for
  };

  // `device` must outlive the map. Starts with address space 0.
  explicit IovaMap(Device& device);
  IovaMap(const IovaMap&) = delete;
  IovaMap& operator=(const IovaMap&) = delete;
  ~IovaMap();

  // The longest piece at `iova` that lies in one region. `size` must not be
  // 0. A range that continues in the next region takes another call.
  Piece Find(uint64_t iova, uint64_t size, Access access);

  // All of [iova, iova + size) as one pointer, or null where it crosses
  // regions, is not mapped, or wraps.
  uint8_t* FindWhole(uint64_t iova, uint64_t size, Access access);

  // Copies `size` bytes from the driver's memory, wherever regions meet.
  // False if any byte cannot be read; `to` may then be partly written.
  [[nodiscard]] bool CopyIn(uint64_t iova, void* to, uint64_t size);

  // Goes over to another address space; what was mapped is forgotten.
  void SetAsid(uint32_t asid);
  uint32_t asid() const { return asid_; }

  // Forgets what overlaps [first, last], both inclusive: nothing where `last`
  // is before `first`. DropAll() forgets faults as well.
  void Drop(uint64_t first, uint64_t last);
  void DropAll();

  // Between steps: forgets regions in which a page was found missing, by
  // whatever map, and, where the process has too many mappings, the quarter
  // that was used least. True if any went.
  bool Trim();

  // Why those whose memory this is cannot be served any more, once: a page of
  // it is missing (see SigbusGuard), or it is in a file that must not be
  // mapped. Empty if there is nothing of the kind.
  [[nodiscard]] std::string TakeFault();

  size_t region_count() const { return entries_.size(); }

 private:
  struct Entry {
    Region region;
    uint64_t used;  // step
  };
  // Regions found before, by address: saves most searches.
  static constexpr size_t kHits = 64;
  static constexpr unsigned kHitShift = 21;  // 2 MiB, the least of many regions

  Entry*& HitFor(uint64_t iova) { return hits_[(iova >> kHitShift) % kHits]; }
  Entry* Lookup(uint64_t iova);
  Entry* Load(uint64_t iova);
  template <typename Condition>
  bool Forget(Condition condition);
  bool ForgetLeastUsed();

  RegionCache& cache_;
  uint32_t asid_ = 0;
  std::map<uint64_t, Entry> entries_;  // by start, disjoint
  std::array<Entry*, kHits> hits_{};
  uint64_t step_ = 0;
  uint64_t poisons_seen_;
  uint64_t shortage_seen_;
  std::string refusal_;
};

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_IOVA_MAP_H_
