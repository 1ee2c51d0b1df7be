// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_ADOPTION_H_
#define VDUSE_NET_DAEMON_ADOPTION_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "daemon/options.h"
#include "state/state_layout.h"

namespace program {

// What is known of a VDUSE device that exists and that no process serves.
struct ExistingDevice {
  std::string name;
  uint32_t queue_count = 0;
  bool on_bus = false;  // attached to the vDPA bus
  // The virtio device type, if the kernel tells.
  std::optional<uint32_t> virtio_type;
  std::optional<state::SavedState> state;  // left by the device's process
};

// Whether `device` is a network device of this program that can be adopted.
// Devices of other programs are in the same directory, such as block devices.
//   FailedPrecondition: it is not, or that is not known; the text says why.
absl::Status JudgeExisting(const ExistingDevice& device);

// Whether a device that was made as `saved` says can be served with these
// options. They must not contradict it: a driver has seen the device's
// properties, and the TAP is part of what it was made with.
//   InvalidArgument: an option does not fit; the text names it.
absl::Status FitsDevice(const RunOptions& options,
                        const state::SavedState& saved);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_ADOPTION_H_
