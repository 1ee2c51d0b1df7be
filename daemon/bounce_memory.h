// SPDX-License-Identifier: Apache-2.0
//
// VDUSE's bounce memory, through which a driver of the host's kernel lends all
// its buffers. A buffer takes whole pages of it for as long as it is posted,
// and where there are none the driver cannot post another.
#ifndef VDUSE_NET_DAEMON_BOUNCE_MEMORY_H_
#define VDUSE_NET_DAEMON_BOUNCE_MEMORY_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "daemon/options.h"

namespace program {

// The most that VDUSE can be told to have.
inline constexpr uint64_t kMaxBounceBytes = 1ULL << 30;

struct Rings {
  uint32_t queue_pairs = 1;
  uint32_t queue_size = 0;
  uint64_t features = 0;  // offered
  uint16_t mtu = 0;
};

// Bytes of bounce memory.
struct BounceNeed {
  uint64_t least = 0;  // all receive buffers, and some to transmit
  uint64_t full = 0;   // all that fits into the rings
};
BounceNeed BounceNeedOf(const Rings& rings);

// Whether the rings can work at all.
//   InvalidArgument: they take more than there can be, with what to do.
absl::Status CheckRings(const Rings& rings);
absl::Status CheckRings(const RunOptions& options);

// Gives a device that was made and not yet attached the memory that its rings
// take. `directory` is its folder in sysfs.
//   InvalidArgument: as above. FailedPrecondition: it cannot be given.
absl::Status ProvideBounceMemory(const std::string& directory,
                                 const Rings& rings);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_BOUNCE_MEMORY_H_
