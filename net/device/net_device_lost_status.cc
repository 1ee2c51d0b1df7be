// SPDX-License-Identifier: Apache-2.0
//
// What a NetDevice does for a driver whose DRIVER_OK the kernel does not know
// of, as whoever wrote it (`vdpa dev add`, a driver's bind) was killed before
// it was answered. The kernel lets nobody notify such a driver, until it is
// reset. But Linux's driver has not been told: it goes on and sends commands,
// and polls for the answers without end, with the host's rtnl lock held.
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
  // It may have repeated what is in force.
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

// Serves the control queue, and nothing else: what is completed on the others
// nobody can be told of. `start` is how the control queue starts, if it does
// not run.
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

// Who has negotiated may send commands, DRIVER_OK or not.
void NetDevice::HearOfCommands(uint64_t features) {
  features_ = features;
  PlaceCtrlQueue();
  if (!ctrl_index_) return;
  const absl::Status set = device_.SetKick(*ctrl_index_, ctrl_kick_.get());
  if (!set.ok())
    LogLimited(queue_log_, Severity::kError, "{}", base::Text(set));
}

// DRIVER_OK is there. What was answered before it counts.
void NetDevice::EndCommandsAlone() {
  if (!commands_only_) return;
  const bool answered = ctrl_ && ctrl_->queue().counters().packets > 0;
  const bool recovers = adopted_ || answered;
  StopDriver();
  adopted_ = recovers;
}

// Looks whether DRIVER_OK has come into force in spite of what was thought.
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
    look_at_ = now;  // it may be ready by now
  } else if (features_ != 0) {
    // A driver does not kick before DRIVER_OK: that was lost on its way here.
    SayCommandsAlone();
    ServeCommandsAlone(features_, adopted_ ? Virtqueue::Start::kRecovered
                                           : Virtqueue::Start::kFresh);
  }
}

}  // namespace net
