// SPDX-License-Identifier: Apache-2.0
//
// State that outlives a driver, a suspend, or the process.
#include <fmt/format.h>

#include <utility>

#include "net/device/net_device.h"
#include "net/wire/features.h"

namespace net {

using base::Log;
using base::LogLimited;
using base::Severity;

void NetDevice::Resume(const std::optional<DeviceState>& saved) {
  adopted_ = true;
  shown_status_.reset();
  if (saved) {
    if (saved->positions.size() == queues_.size() &&
        saved->active_pairs <= options_.queue_pairs) {
      state_ = *saved;
      UseAsids();
    } else {
      Log(Severity::kWarning, "the saved state is of another device: not used");
    }
  }
  const absl::StatusOr<uint64_t> features = device_.NegotiatedFeatures();
  const bool negotiated = features.ok() && *features != 0;
  if (state_.phase == DeviceState::Phase::kSuspended && negotiated) {
    suspended_ = true;  // a reset would have cleared the features
    Log(Severity::kInfo, "adopted: the device is suspended");
    return;
  }
  // The status cannot be read back. A config interrupt is refused until
  // DRIVER_OK is in force, and is harmless afterwards.
  if (!negotiated ||
      device_.InjectConfig() != vduse::InjectResult::kDelivered) {
    Log(Severity::kInfo, "adopted: no driver is active");
    // But the process that wrote DRIVER_OK may have been killed meanwhile, and
    // its driver may be waiting for a command.
    if (negotiated) {
      if (state_.phase == DeviceState::Phase::kRunning) SayCommandsAlone();
      ServeCommandsAlone(*features, vduse::Virtqueue::Start::kRecovered);
    }
    return;
  }
  // The predecessor died during a reset that it had not answered yet: the
  // kernel will send the reset again.
  if (state_.phase == DeviceState::Phase::kStopped) {
    state_.phase = DeviceState::Phase::kRunning;
  }
  const bool known = state_.phase == DeviceState::Phase::kRunning;
  TakeUpState(*features);
  // The filter that the driver had set is unknown, so everything passes: the
  // driver must not lose packets.
  if (!known) {
    state_.rx_filter = RxFilter::For(0, options_.mac);
    FilterChanged();
  }
  Log(Severity::kInfo, "adopted: the driver is active, features {}",
      FeatureNames(features_));
  StartDriver(vduse::Virtqueue::Start::kRecovered);
}

absl::Status NetDevice::Restore(const DeviceState& saved) {
  if (const uint64_t extra = saved.features & ~options_.features; extra != 0) {
    return absl::InvalidArgumentError(
        fmt::format("the driver it is of uses what is not offered here: {}",
                    FeatureNames(extra)));
  }
  if (absl::Status fits = CheckNegotiated(options_.features, saved.features);
      !fits.ok()) {
    return fits;
  }
  if (saved.positions.size() != queues_.size()) {
    return absl::InvalidArgumentError(
        fmt::format("the state is of a device with {} virtqueues, this one "
                    "has {}",
                    saved.positions.size(), queues_.size()));
  }
  if (saved.active_pairs == 0 || saved.active_pairs > options_.queue_pairs) {
    return absl::InvalidArgumentError(
        fmt::format("its driver uses {} queue pairs, this device has {}",
                    saved.active_pairs, options_.queue_pairs));
  }
  coalesce::ParamTable probe = params_;
  if (!probe.Restore(saved.coalescing)) {
    return absl::InvalidArgumentError(
        "the state's coalescing parameters are of another number of queues");
  }
  state_ = saved;
  state_.phase = DeviceState::Phase::kRestored;
  // The numbers belong to the kernel that the state came from.
  state_.asids = {};
  Persist();
  return absl::OkStatus();
}

// The driver is active with `features`. Restores what is known of it.
void NetDevice::TakeUpState(uint64_t features) {
  using Phase = DeviceState::Phase;
  features_ = features;
  // A VMM that stops its guest resets the device, and later sets it up again
  // for the same driver to continue. The queues of a new driver begin at 0.
  restored_ = state_.phase == Phase::kRestored;
  const bool known =
      restored_ || state_.phase == Phase::kRunning || SamePositions();
  goes_on_ = known;
  PlaceCtrlQueue();
  const uint64_t accepted = features & kGuestOffloads;
  if (known && state_.features == features) {
    state_.guest_offloads &= accepted;
    if (restored_) state_.announce = Has(features, kFeatureGuestAnnounce);
  } else {
    state_.guest_offloads = accepted;
    state_.active_pairs = 1;
    state_.rx_filter = RxFilter::For(features, options_.mac);
    state_.announce = false;
  }
  if (known) {
    if (state_.features != features) {
      LogLimited(return_log_, Severity::kWarning,
                 "the driver accepts other features than before: what it had "
                 "set is not used");
    } else if (!params_.Restore(state_.coalescing)) {
      LogLimited(return_log_, Severity::kWarning,
                 "the saved coalescing parameters are of another device: not "
                 "used");
    } else if (state_.phase != Phase::kRunning) {
      LogLimited(return_log_, Severity::kInfo,
                 "the driver goes on with what it had set before");
    }
  }
  state_.phase = Phase::kRunning;
  state_.features = features;
  FilterChanged();  // also persists the other changes
  ShowMac(state_.rx_filter.mac);
}

// Whether all queues begin where they stopped, and not all at 0.
bool NetDevice::SamePositions() {
  bool all_zero = true;
  for (uint32_t index = 0; index < queues_.size(); ++index) {
    const absl::StatusOr<vduse::QueueInfo> info = device_.GetQueueInfo(index);
    if (!info.ok() || info->avail_index != state_.positions[index]) {
      return false;
    }
    if (info->avail_index != 0) all_zero = false;
  }
  return !all_zero;
}

absl::StatusOr<uint32_t> NetDevice::OnGroupAsid(uint32_t group, uint32_t asid) {
  if (group >= kGroups || asid >= kAddressSpaces) {
    return absl::OutOfRangeError(fmt::format(
        "address space {} for virtqueue group {}: there are {} and {}", asid,
        group, kAddressSpaces, kGroups));
  }
  if (asid != state_.asids[group]) {
    LogLimited(asid_log_, Severity::kInfo, "{} in address space {} from now on",
               group == kCtrlGroup ? "control queue" : "data queues", asid);
  }
  const uint32_t before = std::exchange(state_.asids[group], asid);
  Persist();
  UseAsids();
  return before;
}

// VDUSE in the kernel keeps a group's address space across a reset. Other vDPA
// devices do not, and VMMs rely on that: a group whose address space they do
// not set again is in address space 0.
void NetDevice::ForgetAsids() {
  if (state_.asids == decltype(state_.asids){}) return;
  state_.asids = {};
  UseAsids();
}

void NetDevice::UseAsids() {
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->Call(
        [&](QueuePair& pair) { pair.SetAsid(state_.asids[kDataGroup]); });
  }
  if (ctrl_) ctrl_->queue().ring().UnmapRings();
  ctrl_map_.SetAsid(state_.asids[CtrlGroup()]);
  ctrl_again_ = ctrl_ != nullptr;
}

void NetDevice::OnSuspend() {
  if (driver_ok_) {
    StopDriver(FlushCause::kSuspend);
    state_.coalescing = params_.snapshot();
    state_.phase = DeviceState::Phase::kSuspended;
    LogLimited(end_log_, Severity::kInfo, "suspended");
  }
  suspended_ = true;
  Persist();
}

void NetDevice::Persist() {
  if (state_.phase == DeviceState::Phase::kRunning) {
    state_.coalescing = params_.snapshot();
  }
  if (options_.persist) options_.persist(state_);
}

}  // namespace net
