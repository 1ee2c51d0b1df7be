// SPDX-License-Identifier: Apache-2.0
#include "coalesce/coalescer.h"

#include <algorithm>

namespace coalesce {

bool Coalescer::OnCompleted(uint32_t packets, Time now) {
  if (packets == 0) return false;
  if (pending_ == 0) first_pending_ = now;
  // Saturates far above any limit.
  pending_ = packets > UINT32_MAX - pending_ ? UINT32_MAX : pending_ + packets;
  return CheckDue(now);
}

bool Coalescer::OnTimer(Time now) { return pending_ > 0 && CheckDue(now); }

bool Coalescer::SetParams(Params params, Time now) {
  params_ = params;
  return pending_ > 0 && CheckDue(now);
}

bool Coalescer::Drain() {
  const bool due = pending_ > 0;
  if (due) Flush();
  return due;
}

void Coalescer::Flush() {
  flushed_ = {
      .packets = pending_, .first = first_pending_, .deadline = deadline_};
  Cancel();
}

void Coalescer::Cancel() {
  pending_ = 0;
  deadline_.reset();
}

bool Coalescer::CheckDue(Time now) {
  const uint32_t limit = std::min(params_.max_packets, max_pending_);
  const Time delay = std::min<std::chrono::microseconds>(
      std::chrono::microseconds(params_.max_usecs), kMaxDelay);
  // From the first pending packet, so that later ones and new parameters do
  // not push it back.
  const Time due = first_pending_ + delay;
  if (pending_ >= limit || delay == Time::zero() || now >= due) {
    Flush();
    return true;
  }
  deadline_ = due;
  return false;
}

}  // namespace coalesce
