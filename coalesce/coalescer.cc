// SPDX-License-Identifier: Apache-2.0
#include "coalesce/coalescer.h"

#include <algorithm>

namespace coalesce {

bool Coalescer::OnCompleted(uint32_t packets, Instant now) {
  if (packets == 0) return false;
  if (pending_ == 0) {
    first_pending_ = now;
    behind_first_ = Duration::zero();
    if (adaptive_) adaptive_due_ = adaptive_->Begin(now);
  }
  // Saturates, far above any limit.
  pending_ = packets > UINT32_MAX - pending_ ? UINT32_MAX : pending_ + packets;
  behind_first_ += (now - first_pending_) * packets;
  return CheckDue(now);
}

bool Coalescer::OnTimer(Instant now) { return pending_ > 0 && CheckDue(now); }

bool Coalescer::Set(const Setting& setting, Instant now) {
  setting_ = setting;
  if (!setting.goal) {
    adaptive_.reset();
  } else if (!adaptive_ || adaptive_->goal() != *setting.goal) {
    adaptive_.emplace(*setting.goal);
    adaptive_due_ = now;
  }
  return pending_ > 0 && CheckDue(now);
}

Params Coalescer::effective() const {
  const Params bound = setting_.bound();
  if (bound.max_packets == 0 || bound.max_usecs == 0) {
    return {.max_packets = 1, .max_usecs = 0};
  }
  return {
      .max_packets = std::min(bound.max_packets, max_pending_),
      .max_usecs = std::min(
          bound.max_usecs,
          static_cast<uint32_t>(std::chrono::microseconds(kMaxDelay).count()))};
}

bool Coalescer::Drain() {
  const bool due = pending_ > 0;
  if (due) Flush();
  return due;
}

void Coalescer::OnNotified(Instant now) {
  if (adaptive_) adaptive_->End(flushed_.packets, now);
}

void Coalescer::Flush() {
  flushed_ = {.packets = pending_,
              .first = first_pending_,
              .behind = behind_first_,
              .deadline = deadline_};
  Cancel();
}

void Coalescer::Cancel() {
  pending_ = 0;
  deadline_.reset();
}

bool Coalescer::CheckDue(Instant now) {
  uint32_t limit = max_pending_;
  Instant due = adaptive_due_;
  if (!adaptive_) {
    limit = std::min(limit, setting_.params.max_packets);
    // Counts from the first pending packet, so that neither later packets nor
    // new parameters postpone it.
    due = first_pending_ +
          std::min<Duration>(
              std::chrono::microseconds(setting_.params.max_usecs), kMaxDelay);
  }
  if (pending_ >= limit || due <= first_pending_ || now >= due) {
    Flush();
    return true;
  }
  deadline_ = due;
  return false;
}

}  // namespace coalesce
