// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_DEVICE_STATE_H_
#define VDUSE_NET_NET_DEVICE_DEVICE_STATE_H_

#include <array>
#include <cstdint>
#include <vector>

#include "coalesce/param_table.h"
#include "net/path/rx_filter.h"
#include "vduse/queue_position.h"

namespace net {

using vduse::QueuePosition;

// Virtqueues are in two groups, so that a VMM can give the control queue an
// address space of its own and stand between it and the driver.
inline constexpr uint32_t kDataGroup = 0;
inline constexpr uint32_t kCtrlGroup = 1;
inline constexpr uint32_t kGroups = 2;
inline constexpr uint32_t kAddressSpaces = 2;

// The driver-visible state of a device that nobody else remembers. It is kept
// for the process that takes over after a crash, and for the other device that
// a driver is moved to.
struct DeviceState {
  enum class Phase : uint8_t {
    kIdle,       // no driver so far
    kRunning,    // from DRIVER_OK on
    kSuspended,  // suspended until a reset
    kStopped,    // reset; holds the state of the last driver
    kRestored,   // from another device; the next driver resumes it
  };

  Phase phase = Phase::kIdle;
  uint64_t features = 0;  // negotiated
  coalesce::ParamTable::Snapshot coalescing;
  // The offloads of kGuestOffloads that the driver accepts: those negotiated,
  // or those set since.
  uint64_t guest_offloads = 0;
  RxFilter rx_filter;
  // The driver was moved here and must announce itself to the network.
  bool announce = false;
  // The number of queue pairs that the driver uses.
  uint16_t active_pairs = 1;
  // One for each virtqueue. Not updated while the queues run.
  std::vector<QueuePosition> positions;
  // Address space of each group; a reset clears it.
  std::array<uint32_t, kGroups> asids{};
};

// What a device starts with that gets `state` from another device: the next
// driver resumes it. The numbers of address spaces belong to the other kernel.
inline DeviceState Restored(DeviceState state) {
  state.phase = DeviceState::Phase::kRestored;
  state.asids = {};
  return state;
}

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_DEVICE_STATE_H_
