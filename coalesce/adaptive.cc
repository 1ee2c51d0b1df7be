// SPDX-License-Identifier: Apache-2.0
#include "coalesce/adaptive.h"

#include <algorithm>

namespace coalesce {

Time Adaptive::Begin(Time first) {
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

void Adaptive::End(uint32_t packets, Time now) {
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
      // A timer that is late must not make the rate lower than what is
      // allowed; one that is very late must not make up for it by a burst.
      if (now > due_ && goal_.kind == Goal::Kind::kMaxRate) {
        last_ = std::max(due_, now - interval_ / 2);
      }
      // What an early end would have gathered is unknown.
      if (packets > 1) {
        Judge(true);
      } else if (now >= due_) {
        Judge(false);
      }
  }
}

void Adaptive::Judge(bool gathered) {
  ++(gathered ? decisions_.gathered : decisions_.futile);
  if (goal_.kind == Goal::Kind::kMaxRate) return;
  if (gathered) {
    futile_in_a_row_ = 0;
    if (!waiting_) Switch(true);
  } else if (!waiting_) {
    since_trial_ = 0;
    pause_ = std::min(2 * pause_, kLastPause);
  } else if (++futile_in_a_row_ == kPatience) {
    Switch(false);
  }
}

void Adaptive::Switch(bool waiting) {
  waiting_ = waiting;
  ++decisions_.switched;
  futile_in_a_row_ = 0;
  in_window_ = 0;
  since_trial_ = 0;
  pause_ = kFirstPause;
}

}  // namespace coalesce
