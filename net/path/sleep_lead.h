// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_SLEEP_LEAD_H_
#define VDUSE_NET_NET_PATH_SLEEP_LEAD_H_

#include <algorithm>
#include <chrono>

#include "coalesce/adaptive.h"

namespace net {

using coalesce::Time;

// Learns how late sleeps end, so that they can be asked to end so much earlier:
// four of five still end after that, and for the fifth the rest is polled.
//
// Policy only: no clock, no I/O. One thread.
class SleepLead {
 public:
  // However late they are: what is polled in vain is never longer.
  static constexpr Time kMost = std::chrono::microseconds(50);

  // A sleep that nothing else had ended was over so long after it should have
  // been.
  void OnSlept(Time late) {
    // At rest where a step down is four times as rare as one up.
    lead_ = std::clamp(lead_ + (late < lead_ ? -4 * kStep : kStep),
                       Time::zero(), kMost);
  }

  Time lead() const { return lead_; }

 private:
  static constexpr Time kStep{100};

  Time lead_{};
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_SLEEP_LEAD_H_
