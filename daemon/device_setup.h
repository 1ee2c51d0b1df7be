// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_DEVICE_SETUP_H_
#define VDUSE_NET_DAEMON_DEVICE_SETUP_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/options.h"
#include "net/device/device_state.h"
#include "net/wire/config_space.h"
#include "state/state_layout.h"
#include "vduse/kernel_device.h"

namespace program {

struct NewDevice {
  std::string name;
  net::ConfigSpace config;
  uint16_t queue_size = 0;
  uint32_t queue_pairs = 1;
  // Exactly these features, or an error. If absent, all that the kernel allows.
  std::optional<uint64_t> features;
  uint64_t without = 0;  // features to leave out of all
  bool uso = false;      // the TAP supports USO
  // The state that the first driver resumes.
  std::optional<net::DeviceState> restored;
};

struct CreatedDevice {
  std::unique_ptr<vduse::KernelDevice> device;
  uint64_t features = 0;  // offered
  uint32_t queue_pairs = 1;
};

// The features that a device with `queue_pairs` queue pairs offers at most.
uint64_t FeaturesFor(uint32_t queue_pairs);

// The device that `run` is to create, according to its options and the state
// that they name.
//   InvalidArgument: the state is invalid, or the options contradict it.
absl::StatusOr<NewDevice> PlanDevice(const RunOptions& options);

// Creates a network device. Without a control queue it has one queue pair.
//   AlreadyExists: a device of that name exists.
//   InvalidArgument: the kernel does not allow these features.
absl::StatusOr<CreatedDevice> CreateNetDevice(vduse::ControlDevice& control,
                                              const NewDevice& wanted);

// What the state file says of a device from its creation on, except about its
// TAP. It has what --restore names, because the first process may be killed
// before it has taken that up.
state::SavedState InitialState(const NewDevice& wanted,
                               const CreatedDevice& created);

bool DeviceExists(const std::string& name);

// Opens an existing device. Waits a little if a dying process still has it
// open.
//   NotFound: there is no such device.
//   Cancelled: `pause`, which waits for the given time, returned false.
absl::StatusOr<std::unique_ptr<vduse::KernelDevice>> AdoptNetDevice(
    const std::string& name,
    const std::function<bool(std::chrono::milliseconds)>& pause);

// Whether the kernel allows a network device a control queue. Tries it with a
// device that is destroyed again before this returns.
absl::StatusOr<bool> ControlQueueAllowed(vduse::ControlDevice& control);

// What does not work without a control queue, and how to get one.
inline constexpr char kNoControlQueueText[] =
    "this kernel's vduse module refuses a control queue: `ethtool -C` of the "
    "consumer will not work. The operator's coalescing does: --rx-usecs and "
    "the like, and `vduse-net coalesce set`. To have both, build the module "
    "with scripts/lift-gate.sh and load it instead.";

}  // namespace program

#endif  // VDUSE_NET_DAEMON_DEVICE_SETUP_H_
