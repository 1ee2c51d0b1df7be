// SPDX-License-Identifier: Apache-2.0
//
// Serving a driver whose DRIVER_OK the kernel does not know of. That happens if
// the process that wrote DRIVER_OK (`vdpa dev add`, a driver's bind) was killed
// before the device answered. Until the next reset, the kernel refuses to
// notify such a driver. But Linux's driver does not know that: it goes on,
// sends commands, and spins until they are answered, with the host's rtnl lock
// held.
#include <linux/virtio_config.h>

#include "base/status_text.h"
#include "net/device/net_device.h"

namespace net {

using base::LogLimited;
using base::Severity;
using vduse::InjectResult;
using vduse::Virtqueue;

void NetDevice::OnStatusLost(uint8_t status) {
  if ((status & VIRTIO_CONFIG_S_DRIVER_OK) == 0 || !driver_ok()) return;
  // The lost status may have repeated a DRIVER_OK that is in force.
  if (device_.InjectConfig() != InjectResult::kNotYet) return;
  SayCommandsAlone();
  ServeCommandsAlone(features_, start_);
}

void NetDevice::SayCommandsAlone() {
  if (commands_only_) return;
  LogLimited(life_log_, Severity::kWarning,
             "DRIVER_OK is not in force: was its writer killed? Until the "
             "driver is reset (unbind it, or `vdpa dev del`), commands are "
             "answered and nothing else");
}

// Serves only the control queue, because the driver cannot be notified of what
// is completed on the other queues. `start` is how the control queue starts, if
// it does not run yet.
void NetDevice::ServeCommandsAlone(uint64_t features, Virtqueue::Start start) {
  if (commands_only_) return;
  if (!driver_ok_) begun_.assign(queues_.size(), std::nullopt);
  for (uint32_t index = 0; index < queues_.size(); ++index) {
    if (!IsData(index)) continue;
    if (queues_[index] == QueueState::kRunning) {
      StopQueue(index, std::nullopt);
      params_.SetEnabled(index, false);
    }
    queues_[index] = QueueState::kDown;
  }
  HearOfCommands(features);
  driver_ok_ = true;
  commands_only_ = true;
  start_ = start;
  config_retry_.reset();
  config_owed_ = false;
  LookSoon();
}

// Listens for kicks of the control queue: a driver that has negotiated features
// may send commands, even if its DRIVER_OK is not known here.
void NetDevice::HearOfCommands(uint64_t features) {
  features_ = features;
  PlaceCtrlQueue();
  if (!ctrl_index_) return;
  const absl::Status set = device_.SetKick(*ctrl_index_, ctrl_kick_.get());
  if (!set.ok())
    LogLimited(queue_log_, Severity::kError, "{}", base::Text(set));
}

// DRIVER_OK has arrived. Ends serving commands alone. If commands were answered
// before, the next start resumes the rings.
void NetDevice::EndCommandsAlone() {
  if (!commands_only_) return;
  const bool answered = ctrl_ && ctrl_->queue().counters().packets > 0;
  const bool recovers = adopted_ || answered;
  StopDriver();
  adopted_ = recovers;
}

// Checks whether DRIVER_OK has come into force after all, and if so starts the
// driver.
bool NetDevice::InForceAfterAll() {
  if (!commands_only_ || device_.InjectConfig() != InjectResult::kDelivered) {
    return false;
  }
  const uint64_t features = features_;
  StopDriver();
  LogLimited(life_log_, Severity::kInfo, "DRIVER_OK is in force by now");
  TakeUpState(features);
  StartDriver(Virtqueue::Start::kRecovered);
  return true;
}

void NetDevice::FollowCtrlKick(Time now) {
  if (InForceAfterAll() || ctrl_) return;
  if (driver_ok_) {
    look_at_ = now;  // the control queue may be ready by now
  } else if (features_ != 0) {
    // A driver does not kick before DRIVER_OK, so its DRIVER_OK was lost on its
    // way here.
    SayCommandsAlone();
    ServeCommandsAlone(features_, adopted_ ? Virtqueue::Start::kRecovered
                                           : Virtqueue::Start::kFresh);
  }
}

}  // namespace net
