// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_BUSY_POLL_H_
#define VDUSE_NET_NET_PATH_BUSY_POLL_H_

#include <algorithm>

#include "net/path/notified_queue.h"

namespace net {

// Decides how long a worker looks for work before it sleeps. Only what pays:
// while sleeps turn out shorter than the limit the time grows up to it, and a
// longer one ends it, so that an idle device costs no CPU time.
//
// Policy only: no clock, no I/O. One thread.
class BusyPoll {
 public:
  // With 0 it never polls.
  explicit BusyPoll(Time limit) : limit_(limit) {}

  // There was work to do.
  void OnWork(Time now) { last_work_ = now; }

  // Whether to look again before sleeping.
  bool Wanted(Time now) const { return now - last_work_ < budget_; }

  // Work has ended a sleep of that length.
  void OnWake(Time slept) {
    budget_ = slept < limit_ ? std::clamp(budget_ * 2, limit_ / 8, limit_)
                             : Time::zero();
  }

  Time budget() const { return budget_; }

 private:
  Time limit_;
  Time budget_{};
  Time last_work_{};
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_BUSY_POLL_H_
