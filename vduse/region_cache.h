// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_REGION_CACHE_H_
#define VDUSE_NET_VDUSE_REGION_CACHE_H_

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "vduse/mapping.h"

namespace vduse {

class Device;
struct IotlbRegion;

// A region of the driver's address space, [start, last], and its place in this
// process.
struct Region {
  uint64_t start = 0;
  uint64_t last = 0;  // inclusive
  bool readable = false;
  bool writable = false;
  uint8_t* base = nullptr;  // pointer to `start`
  std::shared_ptr<const Mapping> memory;
};

// The regions of a device, shared by all IovaMaps that translate its driver's
// addresses, so that each region is looked up and mapped once.
//
// Each file of memory is mapped as a whole, once for each kind of access, no
// matter how many regions lie in it. The number of mappings of a process is
// limited (vm.max_map_count), and a driver may have one file for every 2 MiB.
//
// A region that is withdrawn is dropped here first. Each IovaMap that holds it
// then drops it by IovaMap::Drop(). Any thread.
class RegionCache {
 public:
  // `device` must outlive the cache.
  explicit RegionCache(Device& device);
  RegionCache(const RegionCache&) = delete;
  RegionCache& operator=(const RegionCache&) = delete;

  // Returns the region of address space `asid` that holds `iova`.
  //   NotFound: there is none.
  //   FailedPrecondition: it is in a file that must not be mapped.
  //   ResourceExhausted: too many mappings; shortage() has changed.
  //   Other errors may be temporary.
  absl::StatusOr<Region> Find(uint32_t asid, uint64_t iova);

  // Drops the regions that overlap [first, last], both inclusive.
  void Drop(uint32_t asid, uint64_t first, uint64_t last);

  // Drops the regions in which a page was found missing.
  void DropPoisoned();

  // Changes when mappings run short, and again from time to time as long as
  // they do. Holders of regions must then release those that they use least.
  uint64_t shortage() const {
    return shortage_.load(std::memory_order_relaxed);
  }

  // Sets the largest number of mappings. The default is what vm.max_map_count
  // leaves.
  void SetLimit(size_t mappings);

 private:
  using Memory = std::shared_ptr<const Mapping>;
  // Device, inode, and the protection passed to mmap.
  using FileKey = std::tuple<dev_t, ino_t, int>;

  absl::StatusOr<Region> Load(const IotlbRegion& found)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Memory> Map(const IotlbRegion& found, uint64_t bytes,
                             int protection)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status MakeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunShort() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Device& device_;
  std::atomic<uint64_t> shortage_{0};

  base::Mutex mutex_;
  // By asid and start.
  std::map<std::pair<uint32_t, uint64_t>, Region> regions_
      ABSL_GUARDED_BY(mutex_);
  std::map<FileKey, std::weak_ptr<const Mapping>> files_
      ABSL_GUARDED_BY(mutex_);
  size_t files_at_sweep_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t limit_ ABSL_GUARDED_BY(mutex_);
  size_t made_since_shortage_ ABSL_GUARDED_BY(mutex_) = 0;
  bool shortage_said_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_REGION_CACHE_H_
