// SPDX-License-Identifier: Apache-2.0
#include "daemon/device_setup.h"

#include <fmt/format.h>
#include <linux/virtio_ids.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/status_text.h"
#include "base/text_file.h"
#include "daemon/bounce_memory.h"
#include "net/wire/features.h"
#include "state/migration_state.h"

namespace program {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kAdoptPause(10);
constexpr int kAdoptTries = 200;

// Only a driver that can ask for them can use more than one queue pair.
uint32_t PairsWith(const NewDevice& wanted, uint64_t features) {
  return net::Has(features, net::kFeatureMq) ? wanted.queue_pairs : 1;
}

vduse::DeviceConfig ToConfig(const NewDevice& wanted, uint64_t features) {
  const bool control = net::Has(features, net::kFeatureCtrlVq);
  net::ConfigSpace space = wanted.config;
  space.max_virtqueue_pairs =
      static_cast<uint16_t>(PairsWith(wanted, features));
  return {.name = wanted.name,
          .device_id = VIRTIO_ID_NET,
          .features = features,
          .queue_size = wanted.queue_size,
          .queue_count = 2 * PairsWith(wanted, features) + (control ? 1 : 0),
          .groups = control ? net::kGroups : 1,
          .address_spaces = control ? net::kAddressSpaces : 1,
          .config_space = space.Bytes()};
}

}  // namespace

uint64_t FeaturesFor(uint32_t queue_pairs) {
  return net::Without(net::kOfferedFeatures,
                      queue_pairs > 1 ? 0 : net::Bit(net::kFeatureMq));
}

absl::StatusOr<NewDevice> PlanDevice(const RunOptions& options) {
  NewDevice wanted;
  wanted.name = options.name;
  wanted.queue_size = options.queue_size.value_or(kDefaultQueueSize);
  wanted.queue_pairs = options.queue_pairs.value_or(1);
  wanted.config.mac = options.mac ? *options.mac : net::RandomMac();
  wanted.config.mtu = options.mtu.value_or(kDefaultMtu);
  wanted.config.status = 0;
  wanted.config.speed = options.speed.value_or(net::kDefaultSpeed);
  wanted.without = options.without;
  if (!options.profile.empty()) {
    wanted.features = net::Without(net::FindProfile(options.profile)->features,
                                   options.without);
  }
  if (options.restore.empty()) return wanted;

  const absl::StatusOr<std::string> text = base::ReadFile(options.restore);
  if (!text.ok()) return text.status();
  const absl::StatusOr<state::MigrationState> state =
      state::ParseMigrationState(*text);
  if (!state.ok()) {
    return absl::InvalidArgumentError(fmt::format(
        "--restore {}: {}", options.restore, base::Text(state.status())));
  }
  const auto differs = [&](const char* option, const std::string& is,
                           const std::string& was) {
    return absl::InvalidArgumentError(
        fmt::format("--restore {}: its device has {} {}, {} says {}: leave "
                    "{} out, or give the same value",
                    options.restore, option + 2, was, option, is, option));
  };
  if (options.mac && *options.mac != state->mac) {
    return differs("--mac", net::FormatMac(*options.mac),
                   net::FormatMac(state->mac));
  }
  if (options.mtu && *options.mtu != state->mtu) {
    return differs("--mtu", std::to_string(*options.mtu),
                   std::to_string(state->mtu));
  }
  if (options.queue_size && *options.queue_size < state->queue_size) {
    return differs("--queue-size", std::to_string(*options.queue_size),
                   std::to_string(state->queue_size));
  }
  // The state has a position for each queue: two per pair, and the control
  // queue.
  const auto pairs = static_cast<uint32_t>(state->device.positions.size() / 2);
  if (options.queue_pairs && *options.queue_pairs != pairs) {
    return differs("--queue-pairs", std::to_string(*options.queue_pairs),
                   std::to_string(pairs));
  }
  wanted.queue_pairs = std::clamp(pairs, 1U, net::kMaxQueuePairs);
  wanted.config.mac = state->mac;
  wanted.config.mtu = state->mtu;
  wanted.queue_size = options.queue_size.value_or(state->queue_size);
  wanted.restored = state->device;
  return wanted;
}

absl::StatusOr<CreatedDevice> CreateNetDevice(vduse::ControlDevice& control,
                                              const NewDevice& wanted) {
  uint64_t features = wanted.features.value_or(
      net::Without(FeaturesFor(wanted.queue_pairs),
                   wanted.without | (wanted.uso ? 0 : net::kUsoFeatures)));
  if ((features & net::kUsoFeatures) != 0 && !wanted.uso) {
    return absl::InvalidArgumentError(
        fmt::format("this kernel's TAPs do not support {} (Linux 6.2 does): "
                    "choose another --profile",
                    net::FeatureNames(features & net::kUsoFeatures)));
  }
  vduse::DeviceConfig config = ToConfig(wanted, features);
  absl::Status created = control.Create(config);
  if (absl::IsInvalidArgument(created) && wanted.features) {
    return absl::InvalidArgumentError(fmt::format(
        "the kernel refuses a device with exactly the features {}{}",
        net::FeatureNames(features),
        net::Has(features, net::kFeatureCtrlVq)
            ? fmt::format(": {}", kNoControlQueueText)
            : ""));
  }
  if (absl::IsInvalidArgument(created)) {
    features = net::WithoutControlQueue(features);
    config = ToConfig(wanted, features);
    created = control.Create(config);
  }
  if (!created.ok()) return created;

  auto device = vduse::KernelDevice::Open(wanted.name);
  absl::Status status = device.status();
  for (uint32_t i = 0; status.ok() && i < config.queue_count; ++i) {
    const bool control_queue = i == 2 * PairsWith(wanted, features);
    status = (*device)->SetupQueue(i, wanted.queue_size,
                                   control_queue && control.has_groups()
                                       ? net::kCtrlGroup
                                       : net::kDataGroup);
  }
  if (status.ok()) {
    status = ProvideBounceMemory("/sys/class/vduse/" + wanted.name,
                                 {.queue_pairs = PairsWith(wanted, features),
                                  .queue_size = wanted.queue_size,
                                  .features = features,
                                  .mtu = wanted.config.mtu});
  }
  if (!status.ok()) {
    // Close the device first, so that it can be destroyed.
    device = absl::UnknownError("");
    status.Update(control.Destroy(wanted.name));
    return status;
  }
  return CreatedDevice{.device = std::move(*device),
                       .features = features,
                       .queue_pairs = PairsWith(wanted, features)};
}

state::SavedState InitialState(const NewDevice& wanted,
                               const CreatedDevice& created) {
  state::SavedState state;
  state.features = created.features;
  state.queue_pairs = created.queue_pairs;
  state.mac = wanted.config.mac;
  state.mtu = wanted.config.mtu;
  state.queue_size = wanted.queue_size;
  if (wanted.restored) state.device = net::Restored(*wanted.restored);
  return state;
}

bool DeviceExists(const std::string& name) {
  return access(vduse::DevicePath(name).c_str(), F_OK) == 0;
}

absl::StatusOr<std::unique_ptr<vduse::KernelDevice>> AdoptNetDevice(
    const std::string& name,
    const std::function<bool(std::chrono::milliseconds)>& pause) {
  for (int tries = 1;; ++tries) {
    auto device = vduse::KernelDevice::Open(name);
    if (!absl::IsFailedPrecondition(device.status()) || tries == kAdoptTries) {
      return device;
    }
    if (!pause(kAdoptPause)) return absl::CancelledError("ended by a signal");
  }
}

absl::StatusOr<bool> ControlQueueAllowed(vduse::ControlDevice& control) {
  NewDevice probe;
  probe.name = fmt::format("vduse-net-check-{}", getpid());
  probe.queue_size = 16;
  absl::StatusOr<CreatedDevice> created = CreateNetDevice(control, probe);
  if (!created.ok()) return created.status();
  const bool allowed = net::Has(created->features, net::kFeatureCtrlVq);
  created->device.reset();
  if (absl::Status status = control.Destroy(probe.name); !status.ok()) {
    return status;
  }
  return allowed;
}

}  // namespace program
