// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_DEVICE_STATE_H_
#define VDUSE_NET_NET_DEVICE_DEVICE_STATE_H_

#include <array>
#include <cstdint>
#include <vector>

#include "coalesce/param_table.h"
#include "net/path/rx_filter.h"

namespace net {

// Virtqueues are in two groups, so that a VMM can give the control queue
// memory of its own and stand between it and the driver.
inline constexpr uint32_t kDataGroup = 0;
inline constexpr uint32_t kCtrlGroup = 1;
inline constexpr uint32_t kGroups = 2;
inline constexpr uint32_t kAddressSpaces = 2;

// What a driver has made of a device and nobody else remembers: for the
// process that takes over after a crash, and for the device elsewhere that
// the driver is moved to.
struct DeviceState {
  enum class Phase : uint8_t {
    kIdle,       // no driver so far
    kRunning,    // from DRIVER_OK on
    kSuspended,  // until a reset
    kStopped,    // reset: what the last driver had made of it
    kRestored,   // from elsewhere; the next driver goes on with it
  };

  Phase phase = Phase::kIdle;
  uint64_t features = 0;  // negotiated
  coalesce::ParamTable::Snapshot coalescing;
  // What it accepts of kGuestOffloads: what it negotiated, or has set since.
  uint64_t guest_offloads = 0;
  RxFilter rx_filter;
  // It has come from elsewhere, and the network is to hear of it from it.
  bool announce = false;
  // Queue pairs that are in use, of those that there are.
  uint16_t active_pairs = 1;
  // Next available index of each virtqueue. Not kept up while running.
  std::vector<uint16_t> positions;
  // Address space of each group, until a reset.
  std::array<uint32_t, kGroups> asids{};
};

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_DEVICE_STATE_H_
