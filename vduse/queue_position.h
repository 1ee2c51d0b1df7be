// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_QUEUE_POSITION_H_
#define VDUSE_NET_VDUSE_QUEUE_POSITION_H_

#include <cstdint>

namespace vduse {

// Where a virtqueue that is stopped continues. The kernel calls it the
// virtqueue state (struct vduse_vq_state_split).
struct QueuePosition {
  uint16_t avail_index = 0;  // of the next available entry that is taken

  friend bool operator==(const QueuePosition&, const QueuePosition&) = default;
};

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_QUEUE_POSITION_H_
