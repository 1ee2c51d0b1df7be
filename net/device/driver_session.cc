// SPDX-License-Identifier: Apache-2.0
#include "net/device/driver_session.h"

namespace net {

using vduse::Virtqueue;

Virtqueue::Start DriverSession::StartOf(QueuePosition position) const {
  const bool unset =
      origin_ == Origin::kMovedHere && position == QueuePosition{};
  return recovers() || unset ? Virtqueue::Start::kRecovered
                             : Virtqueue::Start::kFresh;
}

void DriverSession::Negotiate(uint64_t features) {
  features_ = features;
  if (phase_ == Phase::kNone) phase_ = Phase::kNegotiated;
}

void DriverSession::Activate(uint64_t features, Origin origin) {
  features_ = features;
  phase_ = Phase::kActive;
  origin_ = origin;
}

void DriverSession::Suspend() {
  End();
  phase_ = Phase::kSuspended;
}

void DriverSession::End() {
  if (!suspended()) phase_ = Phase::kNone;
  origin_ = Origin::kNew;
  features_ = 0;
}

void DriverSession::Reset() {
  End();
  phase_ = Phase::kNone;
}

}  // namespace net
