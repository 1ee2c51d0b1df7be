// SPDX-License-Identifier: Apache-2.0
//
// The memory layout of the split virtqueue: virtio 1.3, section 2.7.
#ifndef VDUSE_NET_VDUSE_RING_LAYOUT_H_
#define VDUSE_NET_VDUSE_RING_LAYOUT_H_

#include <bit>
#include <cstddef>
#include <cstdint>

namespace vduse {

// struct virtq_desc, 2.7.5
struct Desc {
  uint64_t addr;
  uint32_t len;
  uint16_t flags;
  uint16_t next;
};
static_assert(sizeof(Desc) == 16);

inline constexpr uint16_t kDescNext = 1;
inline constexpr uint16_t kDescWrite = 2;
inline constexpr uint16_t kDescIndirect = 4;

// struct virtq_avail, 2.7.6: flags, idx, ring[size], used_event
inline constexpr size_t kAvailFlags = 0;
inline constexpr size_t kAvailIdx = 1;
inline constexpr size_t kAvailRing = 2;
inline constexpr uint16_t kAvailNoInterrupt = 1;

// struct virtq_used_elem, 2.7.8
struct UsedElem {
  uint32_t id;
  uint32_t len;
};
static_assert(sizeof(UsedElem) == 8);

// struct virtq_used, 2.7.8: flags, idx, ring[size], avail_event
inline constexpr size_t kUsedFlags = 0;
inline constexpr size_t kUsedIdx = 1;
inline constexpr size_t kUsedRingOffset = 4;  // bytes
inline constexpr uint16_t kUsedNoNotify = 1;

inline constexpr uint64_t kDescAlign = 16;
inline constexpr uint64_t kAvailAlign = 2;
inline constexpr uint64_t kUsedAlign = 4;
inline constexpr uint32_t kMaxQueueSize = 32768;

// Whether a virtqueue may have `size` entries.
constexpr bool IsQueueSize(uint64_t size) {
  return size >= 2 && size <= kMaxQueueSize && std::has_single_bit(size);
}

// The size of each area in bytes. With EVENT_IDX it includes the event word at
// the end.
constexpr uint64_t DescBytes(uint32_t size) { return 16ULL * size; }
constexpr uint64_t AvailBytes(uint32_t size, bool event_idx) {
  return 4 + 2ULL * size + (event_idx ? 2 : 0);
}
constexpr uint64_t UsedBytes(uint32_t size, bool event_idx) {
  return 4 + 8ULL * size + (event_idx ? 2 : 0);
}

// Whether moving an index from `old_index` to `new_index` passed `event`
// (2.7.10). All values are 16-bit and modular.
constexpr bool PassedEvent(uint16_t event, uint16_t new_index,
                           uint16_t old_index) {
  return static_cast<uint16_t>(new_index - event - 1) <
         static_cast<uint16_t>(new_index - old_index);
}

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_RING_LAYOUT_H_
