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

// Translates the driver's addresses into pointers of this process. Regions are
// added one at a time, on first use, from the device's RegionCache.
//
// One thread. A pointer obtained here is valid until the next Drop(), DropAll()
// or Trim(). The owner calls these only between two of its steps. That is why
// dropping a range and then answering the kernel is a complete quiesce.
class IovaMap {
 public:
  // A part of one region.
  struct Piece {
    uint8_t* data = nullptr;  // null: not mapped, or not with this access
    uint64_t size = 0;        // bytes, at most as many as asked for
  };

  // `device` must outlive the map. Starts with address space 0.
  explicit IovaMap(Device& device);
  IovaMap(const IovaMap&) = delete;
  IovaMap& operator=(const IovaMap&) = delete;
  ~IovaMap();

  // Returns the longest piece at `iova` that lies in one region. `size` must
  // not be 0. A range that continues in the next region takes another call.
  Piece Find(uint64_t iova, uint64_t size, Access access);

  // Returns all of [iova, iova + size) as one pointer, or null if the range
  // crosses regions, is not mapped, or wraps.
  uint8_t* FindWhole(uint64_t iova, uint64_t size, Access access);

  // Copies `size` bytes from the driver's memory, across regions. Returns false
  // if any byte cannot be read; part of `to` may have been written then.
  [[nodiscard]] bool CopyIn(uint64_t iova, void* to, uint64_t size);

  // Changes to another address space and drops all regions of the old one.
  void SetAsid(uint32_t asid);
  uint32_t asid() const { return asid_; }

  // Drop() removes all regions that overlap [first, last], both inclusive, from
  // this map and from the RegionCache. It does nothing if `last` is before
  // `first`. DropAll() removes all regions and forgets a pending fault.
  void Drop(uint64_t first, uint64_t last);
  void DropAll();

  // Call between steps. Removes the regions in which a page was missing
  // (SIGBUS), whether this map's thread found that or another one. If the
  // process has too many mappings, also removes the least recently used quarter
  // of the regions. Returns whether any region was removed.
  bool Trim();

  // Returns why the queues in this memory cannot be served any more: a page of
  // it is missing (see SigbusGuard), or it is in a file that must not be
  // mapped. A reason that was returned is forgotten. Returns an empty string
  // if there is none.
  [[nodiscard]] std::string TakeFault();

  size_t region_count() const { return entries_.size(); }

 private:
  struct Entry {
    Region region;
    uint64_t used;  // the last step that used it
  };
  // Recently found regions, by address; saves most searches in `entries_`.
  static constexpr size_t kHits = 64;
  // Addresses within 2 MiB share an element of `hits_`. This assumes that a
  // driver with many regions has none smaller; if it has, only speed is lost.
  static constexpr unsigned kHitShift = 21;

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
