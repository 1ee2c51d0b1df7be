// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_BUSY_POLL_H_
#define VDUSE_NET_NET_PATH_BUSY_POLL_H_

#include <algorithm>

#include "net/path/notified_queue.h"

namespace net {

// Decides how long a worker busy-polls before it sleeps. Busy-polling
// is useful only if work comes within the limit. So the time grows up to the
// limit while sleeps turn out shorter than the limit, and drops to zero after a
// longer one: an idle device costs no CPU time.
//
// Policy only: no clock, no I/O. One thread.
class BusyPoll {
 public:
  // With a limit of 0 the worker never busy-polls.
  explicit BusyPoll(Duration limit) : limit_(limit) {}

  // A step found work to do.
  void OnWork(Instant now) { last_work_ = now; }

  // Whether to look for work again before sleeping.
  bool Wanted(Instant now) const { return now - last_work_ < budget_; }

  // A sleep of length `slept` was ended by work.
  void OnWake(Duration slept) {
    budget_ = slept < limit_ ? std::clamp(budget_ * 2, limit_ / 8, limit_)
                             : Duration::zero();
  }

  Duration budget() const { return budget_; }

 private:
  Duration limit_;
  Duration budget_{};
  Instant last_work_{};
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_BUSY_POLL_H_
