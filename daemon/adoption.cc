// SPDX-License-Identifier: Apache-2.0
#include "daemon/adoption.h"

#include <fmt/format.h>
#include <linux/virtio_ids.h>

#include "net/wire/config_space.h"
#include "net/wire/features.h"

namespace program {
namespace {

// Whether `state` fits a device with `queue_count` queues, as far as it tells.
// Its features do not tell the number of queue pairs.
bool Fits(const state::SavedState& state, uint32_t queue_count) {
  const bool has_control = queue_count % 2 == 1;
  const uint32_t pairs = queue_count / 2;
  const size_t positions = state.device.positions.size();
  return net::Has(state.features, net::kFeatureCtrlVq) == has_control &&
         net::Has(state.features, net::kFeatureMq) == (pairs > 1) &&
         (positions == 0 || positions == queue_count);
}

}  // namespace

absl::Status JudgeExisting(const ExistingDevice& device) {
  const auto refused = [&](const std::string& why) {
    return absl::FailedPreconditionError(
        fmt::format("/dev/vduse/{} exists, no process serves it, and {}",
                    device.name, why));
  };
  if (device.virtio_type && *device.virtio_type != VIRTIO_ID_NET) {
    return refused(
        fmt::format("it is a virtio device of type {}, not a network device "
                    "(type {}): choose another --name",
                    *device.virtio_type, VIRTIO_ID_NET));
  }
  if (device.queue_count < 2 ||
      device.queue_count > 2 * net::kMaxQueuePairs + 1) {
    return refused(
        fmt::format("it has {} virtqueues, unlike a device of this program: "
                    "choose another --name",
                    device.queue_count));
  }
  if (device.state && !Fits(*device.state, device.queue_count)) {
    return refused(fmt::format(
        "it has {} virtqueues, while the state in the state directory is of a "
        "device with the features {}{}: choose another --name, or remove that "
        "state",
        device.queue_count, net::FeatureNames(device.state->features),
        device.state->device.positions.empty()
            ? ""
            : fmt::format(" and {} virtqueues",
                          device.state->device.positions.size())));
  }
  if (device.state || device.virtio_type) return absl::OkStatus();
  return refused(fmt::format(
      "it is not known to be a network device: {}, and there is no state of it "
      "in the state directory. Choose another --name, or give the --state-dir "
      "that its process had",
      device.on_bus ? "the vDPA bus does not tell its type"
                    : "it is not attached to the vDPA bus"));
}

absl::Status FitsDevice(const RunOptions& options,
                        const state::SavedState& saved) {
  const auto differs = [&](const char* option, const std::string& was,
                           const std::string& is) {
    return absl::InvalidArgumentError(fmt::format(
        "the device '{}' exists and was made with {} {}, this command says {}: "
        "start it as it was made, or end it first",
        options.name, option, was, is));
  };
  // Unknown for a device that an older release made.
  if (!saved.tap_name.empty() && options.tap != saved.tap_name) {
    return differs("--tap", saved.tap_name, options.tap);
  }
  if (options.mtu && *options.mtu != saved.mtu) {
    return differs("--mtu", std::to_string(saved.mtu),
                   std::to_string(*options.mtu));
  }
  if (options.mac && *options.mac != saved.mac) {
    return differs("--mac", net::FormatMac(saved.mac),
                   net::FormatMac(*options.mac));
  }
  if (options.queue_size && *options.queue_size != saved.queue_size) {
    return differs("--queue-size", std::to_string(saved.queue_size),
                   std::to_string(*options.queue_size));
  }
  return absl::OkStatus();
}

}  // namespace program
