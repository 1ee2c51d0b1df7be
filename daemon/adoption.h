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

// What is known of a VDUSE device that exists and nobody serves.
struct ExistingDevice {
  std::string name;
  uint32_t queue_count = 0;
  bool on_bus = false;  // attached to the vDPA bus
  // The kernel's word, if it has one: virtio's device type.
  std::optional<uint32_t> virtio_type;
  std::optional<state::SavedState> state;  // that its process has left
};

// Whether it is a network device of ours to go on with. VDUSE devices of other
// programs are in the same directory, a block device's for one.
//   FailedPrecondition: it is not, or not known to be; says why.
absl::Status JudgeExisting(const ExistingDevice& device);

// Whether a device that was made as `saved` says can be served with these
// options. A driver has seen what it was made with, and the TAP has an owner.
//   InvalidArgument: with the option that does not fit.
absl::Status FitsDevice(const RunOptions& options,
                        const state::SavedState& saved);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_ADOPTION_H_
