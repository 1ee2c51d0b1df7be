// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_IOVA_MAP_H_
#define VDUSE_NET_VDUSE_IOVA_MAP_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vduse/device.h"
#include "vduse/sigbus_guard.h"

namespace vduse {

enum class Access { kRead, kWrite };

// Translates the driver's addresses into pointers of this process. Filled
// lazily from the device, one mapping per region.
//
// One thread. A pointer obtained here is good until the next Drop(),
// DropAll() or Trim(), which are called between two steps of the owner: that
// is what makes "drop, then answer the kernel" a complete quiesce.
class IovaMap {
 public:
  // Regions kept before Trim() starts over. The kernel's own default limit is
  // 2048 per device.
  static constexpr size_t kMaxRegions = 2048;

  // A piece of one region.
  struct Piece {
    uint8_t* data = nullptr;  // null: not mapped, or not with this access
    uint64_t size = 0;        // bytes, at most what was asked for
  };

  // `device` must outlive the map. Starts with address space 0.
  explicit IovaMap(Device& device) : device_(device) {}
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

  // Forgets what overlaps [first, last], both inclusive.
  void Drop(uint64_t first, uint64_t last);
  void DropAll();

  // Starts over when too many regions have gathered. Between steps. True if
  // mappings went.
  bool Trim();

  // True once, after memory under one of these mappings turned out to have
  // no pages behind it (see SigbusGuard).
  [[nodiscard]] bool TakePoisoned();

  size_t region_count() const { return regions_.size(); }

 private:
  struct Region {
    uint64_t start;
    uint64_t last;
    bool readable;
    bool writable;
    uint8_t* base;    // host address of `start`
    void* map_base;   // what mmap returned
    size_t map_size;  // and how much
    SigbusGuard::Slot* guard;
  };

  const Region* Lookup(uint64_t iova);
  const Region* Load(uint64_t iova);
  static void Unmap(const Region& region);

  Device& device_;
  uint32_t asid_ = 0;
  std::vector<Region> regions_;  // by start, disjoint
  size_t last_hit_ = 0;
  uint64_t poison_seen_ = 0;
};

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_IOVA_MAP_H_
