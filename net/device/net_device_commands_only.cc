// SPDX-License-Identifier: Apache-2.0
//
// Serving a driver whose DRIVER_OK the kernel does not know of. That happens if
// the process that wrote DRIVER_OK (`vdpa dev add`, a driver's bind) was killed
// before the device answered. Until the next reset, the kernel refuses to
// notify such a driver. But Linux's driver does not know that: it goes on,
// sends commands, and spins until they are answered, with the host's rtnl lock
// held.
#include <linux/virtio_config.h>

#include "net/device/net_device.h"

namespace net {

using base::LogLimited;
using base::Severity;
using vduse::InjectResult;

void NetDevice::OnStatusLost(uint8_t status) {
  if ((status & VIRTIO_CONFIG_S_DRIVER_OK) == 0 || !session_.active()) return;
  // The lost status may have repeated a DRIVER_OK that is in force.
  if (device_.InjectConfig() != InjectResult::kNotYet) return;
  WarnOfCommandsOnly();
  ServeCommandsOnly(session_.features());
}

void NetDevice::WarnOfCommandsOnly() {
  if (session_.commands_only()) return;
  LogLimited(life_log_, Severity::kWarning,
             "DRIVER_OK is not in force: was its writer killed? Until the "
             "driver is reset (unbind it, or `vdpa dev del`), commands are "
             "answered and nothing else");
}

// Serves only the control queue, because the driver cannot be notified of what
// is completed on the other queues.
void NetDevice::ServeCommandsOnly(uint64_t features) {
  if (session_.commands_only()) return;
  if (!session_.served()) queues_.BeginDriver();
  for (uint32_t index = 0; index < queues_.size(); ++index) {
    if (!queues_.IsData(index)) continue;
    if (queues_.IsRunning(index)) {
      StopQueue(index, std::nullopt);
      settings_.params().SetEnabled(index, false);
    }
    queues_.SetState(index, QueueTable::State::kDown);
  }
  ListenForCommands(features);
  session_.LimitToCommands();
  link_.LimitDriver(settings_.announcement());
  LookForQueuesSoon();
}

// DRIVER_OK has arrived. Ends serving only commands. Returns whether the rings
// have been in use: the next start resumes them then.
bool NetDevice::EndCommandsOnly() {
  if (!session_.commands_only()) return false;
  const CtrlQueue* ctrl = ctrl_.queue();
  const bool answered = ctrl != nullptr && ctrl->queue().counters().packets > 0;
  const bool recovers = session_.recovers() || answered;
  StopDriver();
  return recovers;
}

// Checks whether DRIVER_OK has come into force after all, and if so starts the
// driver.
bool NetDevice::StartIfInForce() {
  if (!session_.commands_only() ||
      device_.InjectConfig() != InjectResult::kDelivered) {
    return false;
  }
  const uint64_t features = session_.features();
  StopDriver();
  LogLimited(life_log_, Severity::kInfo, "DRIVER_OK is in force by now");
  TakeUpState(features);
  StartDriver(features, DriverSession::Origin::kRecovered);
  return true;
}

void NetDevice::FollowCtrlKick(Instant now) {
  if (StartIfInForce() || ctrl_.running()) return;
  if (session_.served()) {
    look_at_ = now;  // the control queue may be ready by now
  } else if (session_.awaits_driver_ok()) {
    // A driver does not kick before DRIVER_OK, so its DRIVER_OK was lost on its
    // way here.
    WarnOfCommandsOnly();
    ServeCommandsOnly(session_.features());
  }
}

}  // namespace net
