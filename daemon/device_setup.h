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
#include "vduse/kernel_device.h"

namespace program {

struct NewDevice {
  std::string name;
  net::ConfigSpace config;
  uint16_t queue_size = 0;
  uint32_t queue_pairs = 1;
  // Just these, or an error. If absent, all that the kernel allows.
  std::optional<uint64_t> features;
  uint64_t without = 0;  // of all
  bool uso = false;      // the TAP knows it
  // What its first driver is to go on with.
  std::optional<net::DeviceState> restored;
};

struct CreatedDevice {
  std::unique_ptr<vduse::KernelDevice> device;
  uint64_t features = 0;  // offered
  uint32_t queue_pairs = 1;
};

// What a device with so many queue pairs offers at most.
uint64_t FeaturesFor(uint32_t queue_pairs);

// What `run` is to make, by its options and the state they name.
//   InvalidArgument: that state is no good, or the options contradict it.
absl::StatusOr<NewDevice> PlanDevice(const RunOptions& options);

// Makes a network device; without a control queue it has one queue pair.
//   AlreadyExists: there is a device of that name.
//   InvalidArgument: the kernel does not allow these features.
absl::StatusOr<CreatedDevice> CreateNetDevice(vduse::ControlDevice& control,
                                              const NewDevice& wanted);

bool DeviceExists(const std::string& name);

// Opens a device that exists, waiting a little for a process that is just
// dying. NotFound where there is none.
//   Cancelled: `pause`, which is to wait for so long, was false.
absl::StatusOr<std::unique_ptr<vduse::KernelDevice>> AdoptNetDevice(
    const std::string& name,
    const std::function<bool(std::chrono::milliseconds)>& pause);

// Whether the kernel lets a network device have a control queue. Tries it,
// with a device that is gone again when this returns.
absl::StatusOr<bool> ControlQueueAllowed(vduse::ControlDevice& control);

// What is lost without a control queue, and how to get one.
inline constexpr char kNoControlQueueText[] =
    "this kernel's vduse module refuses a control queue: `ethtool -C` of the "
    "consumer will not work, only --rx-usecs, --rx-frames, --tx-usecs and "
    "--tx-frames do. To lift that, build the module with "
    "scripts/lift-gate.sh and load it instead.";

}  // namespace program

#endif  // VDUSE_NET_DAEMON_DEVICE_SETUP_H_
