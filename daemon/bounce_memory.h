// SPDX-License-Identifier: Apache-2.0
//
// VDUSE's bounce memory, through which a driver of the host's kernel passes all
// its buffers. A buffer occupies whole pages of this memory while it is posted.
// Without free pages the driver cannot post another buffer.
#ifndef VDUSE_NET_DAEMON_BOUNCE_MEMORY_H_
#define VDUSE_NET_DAEMON_BOUNCE_MEMORY_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "daemon/options.h"

namespace program {

// The largest size that VDUSE accepts.
inline constexpr uint64_t kMaxBounceBytes = 1ULL << 30;

struct Rings {
  uint32_t queue_pairs = 1;
  uint32_t queue_size = 0;
  uint64_t features = 0;  // offered
  uint16_t mtu = 0;
};

// Bytes of bounce memory.
struct BounceNeed {
  uint64_t least = 0;  // all receive buffers and some transmit buffers
  uint64_t full = 0;   // all buffers that fit into the rings
};
BounceNeed BounceNeedOf(const Rings& rings);

// Checks whether the rings can work at all.
//   InvalidArgument: they need more memory than VDUSE can have; the text says
//     what to do.
absl::Status CheckRings(const Rings& rings);
absl::Status CheckRings(const RunOptions& options);

// Gives a device that is created but not yet attached the memory that its rings
// need. `directory` is the device's directory in sysfs.
//   InvalidArgument: as for CheckRings().
//   FailedPrecondition: the memory cannot be provided.
absl::Status ProvideBounceMemory(const std::string& directory,
                                 const Rings& rings);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_BOUNCE_MEMORY_H_
