// SPDX-License-Identifier: Apache-2.0
#include "coalesce/adaptive.h"

#include <algorithm>

namespace coalesce {

Instant Adaptive::Begin(Instant first) {
  if (first - window_start_ >= interval_) {
    window_start_ = first;
    in_window_ = 0;
  }
  due_ = first;
  if (!notified_ || first - last_ >= interval_) {
    decision_ = Decision::kAlone;
  } else if (goal_.kind == Goal::Kind::kMaxRate) {
    decision_ = Decision::kWait;
    due_ = last_ + interval_;
  } else if (waiting_ ||
             (in_window_ >= kWorthATrial && since_trial_ >= pause_)) {
    decision_ = Decision::kWait;
    due_ = first + interval_;
  } else {
    decision_ = Decision::kThrough;
  }
  return due_;
}

void Adaptive::End(uint32_t packets, Instant now) {
  notified_ = true;
  last_ = now;
  switch (decision_) {
    case Decision::kAlone:
      ++decisions_.alone;
      break;
    case Decision::kThrough:
      ++decisions_.through;
      ++in_window_;
      ++since_trial_;
      break;
    case Decision::kWait:
      // If the timer is late, the next interval counts from when it was due, so
      // that lateness does not lower the rate. If it is very late, the next
      // interval is shortened by half at most, so that no burst makes up for
      // it.
      if (now > due_ && goal_.kind == Goal::Kind::kMaxRate) {
        last_ = std::max(due_, now - interval_ / 2);
      }
      // A batch that ended before it was due says nothing if it has one packet:
      // others might have come.
      if (packets > 1) {
        OnWaited(Gain::kGathered);
      } else if (now >= due_) {
        OnWaited(Gain::kFutile);
      }
  }
}

void Adaptive::OnWaited(Gain gain) {
  const bool gathered = gain == Gain::kGathered;
  ++(gathered ? decisions_.gathered : decisions_.futile);
  if (goal_.kind == Goal::Kind::kMaxRate) return;
  if (gathered) {
    futile_in_a_row_ = 0;
    if (!waiting_) SetWaiting(true);
  } else if (!waiting_) {
    since_trial_ = 0;
    pause_ = std::min(2 * pause_, kLastPause);
  } else if (++futile_in_a_row_ == kPatience) {
    SetWaiting(false);
  }
}

void Adaptive::SetWaiting(bool waiting) {
  waiting_ = waiting;
  ++decisions_.switched;
  futile_in_a_row_ = 0;
  in_window_ = 0;
  since_trial_ = 0;
  pause_ = kFirstPause;
}

}  // namespace coalesce
