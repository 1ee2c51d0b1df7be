// SPDX-License-Identifier: Apache-2.0
//
// A driver's life: how it begins and ends, is suspended, and is taken over from
// an earlier process or another device.
#include <linux/virtio_config.h>

#include <chrono>

#include "base/status_text.h"
#include "net/device/net_device.h"
#include "net/wire/features.h"

namespace net {

using base::Log;
using base::LogLimited;
using base::Severity;
using Origin = DriverSession::Origin;
using Phase = DeviceState::Phase;

namespace {

// When a successor looks whether a DRIVER_OK that its predecessor has answered
// is in force: the first delay, doubled up to the last.
constexpr Duration kFirstInForceLook = std::chrono::milliseconds(1);
constexpr Duration kLastInForceLook = std::chrono::milliseconds(512);

}  // namespace

absl::Status NetDevice::OnStatus(uint8_t status) {
  if (status == 0 || (status & VIRTIO_CONFIG_S_FAILED) != 0) {
    EndDriver(status);
    return absl::OkStatus();
  }
  const bool driver_ok = (status & VIRTIO_CONFIG_S_DRIVER_OK) != 0;
  const bool features_ok = (status & VIRTIO_CONFIG_S_FEATURES_OK) != 0;
  if (driver_ok && !features_ok) {
    return absl::InvalidArgumentError("DRIVER_OK without FEATURES_OK");
  }
  // ACKNOWLEDGE and DRIVER may be missing: QEMU's vhost-vdpa leaves them out.
  // DRIVER_OK is an edge: repeating it starts nothing (2.1.1).
  if (session_.active() || session_.suspended() || !features_ok) {
    return absl::OkStatus();
  }
  const absl::StatusOr<uint64_t> features = device_.NegotiatedFeatures();
  if (!features.ok()) return features.status();
  if (absl::Status check = CheckNegotiated(options_.features, *features);
      !check.ok()) {
    return check;
  }
  if (!driver_ok) {
    ListenForCommands(*features);
    return absl::OkStatus();
  }
  const bool recovers = EndCommandsOnly() || session_.recovers();
  const Origin origin = TakeUpState(*features);
  LogLimited(life_log_, Severity::kInfo, "driver active, features {}",
             FeatureNames(*features));
  if (origin == Origin::kNew) {
    // What waits in the TAP arrived before a driver that begins now.
    workers_.CallAll([](QueuePair& pair) { pair.rx().DiscardQueued(); });
  }
  StartDriver(*features, recovers ? Origin::kRecovered : origin);
  return absl::OkStatus();
}

// After a reset, or after FAILED.
void NetDevice::EndDriver(uint8_t status) {
  if (session_.served()) {
    LogLimited(end_log_, Severity::kInfo, "{} by the driver",
               status == 0 ? "reset" : "given up (FAILED)");
  }
  StopDriver();
  if (status == 0) {
    session_.Reset();
    if (settings_.ResetAsids()) UseAsids();
    settings_.ShowDeviceMac();
    // An announcement asked of the last driver is not asked of the next.
    link_.Update(options_.clock());
  }
  settings_.EndDriver();
}

void NetDevice::OnSuspend() {
  // All queues of a driver whose DRIVER_OK has come into force have positions.
  (void)StartIfInForce();
  if (session_.served()) {
    // A queue that has just become ready has a position, too.
    LookForReadyQueues(options_.clock());
    StopDriver(FlushCause::kSuspend);
    settings_.Suspend();
    LogLimited(end_log_, Severity::kInfo, "suspended");
  }
  session_.Suspend();
  settings_.Persist();
}

void NetDevice::Resume(const std::optional<DeviceState>& saved) {
  session_.ExpectUsedRings();
  link_.ForgetShown();
  if (saved) {
    if (settings_.Adopt(*saved)) {
      UseAsids();
    } else {
      Log(Severity::kWarning, "the saved state is of another device: not used");
    }
  }
  const absl::StatusOr<uint64_t> features = device_.NegotiatedFeatures();
  const bool negotiated = features.ok() && *features != 0;
  if (settings_.phase() == Phase::kSuspended && negotiated) {
    session_.Suspend();  // a reset would have cleared the features
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
      if (settings_.phase() == Phase::kRunning) WarnOfCommandsOnly();
      ServeCommandsOnly(*features);
      // Or the predecessor's answer to DRIVER_OK is about to come into force.
      ListenForKicks();
      in_force_delay_ = kFirstInForceLook;
      in_force_at_ = options_.clock() + in_force_delay_;
    }
    return;
  }
  // The predecessor died during a reset that it had not answered yet: the
  // kernel will send the reset again.
  settings_.ForgetReset();
  const bool known = settings_.phase() == Phase::kRunning;
  TakeUpState(*features);
  // The filter that the driver had set is unknown, so everything passes: the
  // driver must not lose packets.
  if (!known) settings_.PassAllPackets();
  Log(Severity::kInfo, "adopted: the driver is active, features {}",
      FeatureNames(*features));
  StartDriver(*features, Origin::kRecovered);
}

void NetDevice::LookIfInForce(Instant now) {
  in_force_at_.reset();
  if (StartIfInForce() || !session_.commands_only()) return;
  if (in_force_delay_ >= kLastInForceLook) return;
  in_force_delay_ *= 2;
  in_force_at_ = now + in_force_delay_;
}

// The driver is active with `features`. Restores what is known of it, and
// returns where it comes from according to that. The state file has it then.
Origin NetDevice::TakeUpState(uint64_t features) {
  Origin origin = Origin::kNew;
  if (settings_.phase() == Phase::kRestored) {
    origin = Origin::kMovedHere;
  } else if (settings_.phase() == Phase::kRunning || SamePositions()) {
    origin = Origin::kContinues;
  } else {
    TakePositions();
  }
  AssignRoles(features);
  settings_.BeginDriver(features, origin);
  return origin;
}

// Takes the positions that a new driver gives its queues. A queue that has not
// become ready yet has this position, also for a successor of this process, and
// not the one that an earlier driver has left.
void NetDevice::TakePositions() {
  for (uint32_t index = 0; index < queues_.size(); ++index) {
    const absl::StatusOr<vduse::QueueInfo> info = device_.GetQueueInfo(index);
    if (info.ok()) queues_.SetPosition(index, info->position);
  }
}

// Whether all queues begin where they stopped, and not all at 0. A VMM that
// stops its guest resets the device, and later sets it up again for the same
// driver to continue. The queues of a new driver begin at 0.
bool NetDevice::SamePositions() {
  bool all_zero = true;
  for (uint32_t index = 0; index < queues_.size(); ++index) {
    const absl::StatusOr<vduse::QueueInfo> info = device_.GetQueueInfo(index);
    if (!info.ok() || info->position != queues_.position(index)) {
      return false;
    }
    if (info->position != QueuePosition{}) all_zero = false;
  }
  return !all_zero;
}

void NetDevice::StartDriver(uint64_t features, Origin origin) {
  session_.Activate(features, origin);
  queues_.BeginDriver();
  short_rx_ring_ = false;
  ListenForKicks();
  port_drops_.Start();
  workers_.SetActivePairs(settings_.active_pairs());
  LookForQueuesSoon();
  LookForReadyQueues(options_.clock());
  link_.StartDriver(settings_.announcement(), options_.clock());
}

// Every reset drops the kick eventfds, and those of an earlier process are of
// no use, so they are set again.
void NetDevice::ListenForKicks() {
  for (uint32_t index = 0; index < queues_.size(); ++index) {
    int fd = -1;
    if (queues_.IsControl(index)) fd = ctrl_.kick_fd();
    if (queues_.IsData(index)) fd = workers_.kick_fd(index);
    const absl::Status set = device_.SetKick(index, fd);
    if (!set.ok()) {
      LogLimited(queue_log_, Severity::kError, "{}", base::Text(set));
    }
  }
}

// Stops every running queue. With `settle`, pending and owed notifications are
// sent first, for a driver that will continue.
void NetDevice::StopDriver(std::optional<FlushCause> settle) {
  for (uint32_t index = 0; index < queues_.size(); ++index) {
    if (queues_.IsRunning(index)) StopQueue(index, settle);
  }
  workers_.CallAll([](QueuePair& pair) { pair.Stop(); });
  ctrl_.DropAll();
  queues_.EndDriver();
  look_at_.reset();
  in_force_at_.reset();
  port_drops_.Stop();
  link_.StopDriver();
  session_.End();
}

// Listens for kicks of the control queue: a driver that has negotiated features
// may send commands, even if its DRIVER_OK is not known here.
void NetDevice::ListenForCommands(uint64_t features) {
  session_.Negotiate(features);
  AssignRoles(features);
  if (!queues_.control()) return;
  const absl::Status set = device_.SetKick(*queues_.control(), ctrl_.kick_fd());
  if (!set.ok())
    LogLimited(queue_log_, Severity::kError, "{}", base::Text(set));
}

void NetDevice::AssignRoles(uint64_t features) {
  queues_.AssignRoles(features);
  ctrl_.SetAsid(settings_.asid(queues_.control_group()));
}

}  // namespace net
