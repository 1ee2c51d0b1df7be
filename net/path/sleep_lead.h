// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_SLEEP_LEAD_H_
#define VDUSE_NET_NET_PATH_SLEEP_LEAD_H_

#include <algorithm>
#include <chrono>

#include "coalesce/time.h"

namespace net {

using coalesce::Duration;

// Learns how late sleeps end, so that a worker can ask for them to end earlier
// by that much (the lead). About 80 % of the sleeps then still end at the
// deadline or later. After the others, the worker polls until the deadline.
//
// Policy only: no clock, no I/O. One thread.
class SleepLead {
 public:
  // Upper limit of the lead, however late sleeps end. It bounds how long the
  // worker polls.
  static constexpr Duration kMost = std::chrono::microseconds(50);

  // A sleep that no event interrupted ended `late` after the time asked for.
  void OnSlept(Duration late) {
    // In balance if a step down is four times as rare as a step up.
    lead_ = std::clamp(lead_ + (late < lead_ ? -4 * kStep : kStep),
                       Duration::zero(), kMost);
  }

  Duration lead() const { return lead_; }

 private:
  static constexpr Duration kStep{100};

  Duration lead_{};
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_SLEEP_LEAD_H_
