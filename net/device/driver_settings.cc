// SPDX-License-Identifier: Apache-2.0
//
// What outlives a driver, a suspend, or the process, and what the operator has
// set.
#include "net/device/driver_settings.h"

#include <fmt/format.h>

#include <utility>

#include "net/wire/features.h"

namespace net {

using base::LogLimited;
using base::Severity;
using coalesce::Direction;
using Phase = DeviceState::Phase;

namespace {

std::string SettingText(const coalesce::Setting& setting) {
  if (!setting.goal) {
    return fmt::format("usecs={} packets={}", setting.params.max_usecs,
                       setting.params.max_packets);
  }
  return setting.goal->kind == coalesce::Goal::Kind::kTargetLatency
             ? fmt::format("adaptive, target latency {} us",
                           setting.goal->value)
             : fmt::format("adaptive, at most {} notifications/s",
                           setting.goal->value);
}

}  // namespace

DriverSettings::DriverSettings(const Parts& parts, Options options)
    : parts_(parts),
      options_(std::move(options)),
      params_(options_.queue_pairs, options_.rx, options_.tx) {}

DeviceState DriverSettings::state() const {
  DeviceState state = state_;
  state.positions = parts_.queues.positions();
  return state;
}

LinkStatus::Announcement DriverSettings::announcement() const {
  return state_.announce ? LinkStatus::Announcement::kWanted
                         : LinkStatus::Announcement::kNotWanted;
}

void DriverSettings::Persist() {
  if (state_.phase == Phase::kRunning) state_.coalescing = params_.snapshot();
  if (options_.persist) options_.persist(state());
}

bool DriverSettings::Adopt(const DeviceState& saved) {
  if (saved.positions.size() != parts_.queues.size() ||
      saved.active_pairs > options_.queue_pairs) {
    return false;
  }
  state_ = saved;
  parts_.queues.SetPositions(saved.positions);
  return true;
}

void DriverSettings::ForgetReset() {
  if (state_.phase == Phase::kStopped) state_.phase = Phase::kRunning;
}

absl::Status DriverSettings::Restore(const DeviceState& saved) {
  if (const uint64_t extra = saved.features & ~options_.features; extra != 0) {
    return absl::InvalidArgumentError(
        fmt::format("the driver it is of uses what is not offered here: {}",
                    FeatureNames(extra)));
  }
  if (absl::Status fits = CheckNegotiated(options_.features, saved.features);
      !fits.ok()) {
    return fits;
  }
  if (saved.positions.size() != parts_.queues.size()) {
    return absl::InvalidArgumentError(
        fmt::format("the state is of a device with {} virtqueues, this one "
                    "has {}",
                    saved.positions.size(), parts_.queues.size()));
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
  state_ = Restored(saved);
  parts_.queues.SetPositions(saved.positions);
  Persist();
  return absl::OkStatus();
}

void DriverSettings::BeginDriver(uint64_t features, Origin origin) {
  const bool known = origin != Origin::kNew;
  const uint64_t accepted = features & kGuestOffloads;
  if (known && state_.features == features) {
    state_.guest_offloads &= accepted;
    if (origin == Origin::kMovedHere) {
      state_.announce = Has(features, kFeatureGuestAnnounce);
    }
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

void DriverSettings::PassAllPackets() {
  state_.rx_filter = RxFilter::For(0, options_.mac);
  FilterChanged();
}

void DriverSettings::EndDriver() {
  if (state_.phase == Phase::kRunning) {
    state_.coalescing = params_.snapshot();
    state_.phase = Phase::kStopped;
  } else if (state_.phase == Phase::kSuspended) {
    state_.phase = Phase::kStopped;
  }
  params_.Reset();
  Persist();
}

void DriverSettings::Suspend() {
  state_.coalescing = params_.snapshot();
  state_.phase = Phase::kSuspended;
}

uint32_t DriverSettings::SetAsid(uint32_t group, uint32_t asid) {
  const uint32_t before = std::exchange(state_.asids[group], asid);
  Persist();
  return before;
}

// VDUSE in the kernel keeps a group's address space across a reset. Other vDPA
// devices do not, and VMMs rely on that: a group whose address space they do
// not set again is in address space 0.
bool DriverSettings::ResetAsids() {
  if (state_.asids == decltype(state_.asids){}) return false;
  state_.asids = {};
  return true;
}

void DriverSettings::SetOperatorCoalescing(Direction direction,
                                           const coalesce::Setting& setting) {
  params_.SetOperator(direction, setting);
  ApplyCoalescing(direction);
  base::Log(Severity::kInfo, "operator: {} {}",
            coalesce::DirectionName(direction), SettingText(setting));
}

}  // namespace net
