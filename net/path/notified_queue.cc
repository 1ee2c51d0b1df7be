// SPDX-License-Identifier: Apache-2.0
#include "net/path/notified_queue.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace net {
namespace {

using std::chrono::milliseconds;

// DRIVER_OK is in force a fraction of a millisecond after our answer.
constexpr Duration kFirstRetry = milliseconds(1);
constexpr Duration kLastRetry = milliseconds(100);

uint64_t Nanoseconds(Duration duration) {
  return static_cast<uint64_t>(std::max(duration, Duration::zero()).count());
}

}  // namespace

std::string_view FlushCauseName(FlushCause cause) {
  switch (cause) {
    case FlushCause::kPackets:
      return "packets";
    case FlushCause::kTime:
      return "time";
    case FlushCause::kParams:
      return "parameters";
    case FlushCause::kDescriptors:
      return "descriptors";
    case FlushCause::kStarved:
      return "no-buffers";
    case FlushCause::kStop:
      return "stop";
    case FlushCause::kSuspend:
      return "suspend";
  }
  return "";
}

void NotifiedQueue::OnPublished(uint32_t packets, uint32_t descriptors,
                                Instant now) {
  counters_.packets += packets;
  unnotified_descriptors_ +=
      std::min(descriptors, early_flush_ - unnotified_descriptors_);
  if (coalescer_.OnCompleted(packets, now)) {
    FlushDue(now);
  } else if (unnotified_descriptors_ >= early_flush_) {
    FlushPending(FlushCause::kDescriptors, now);
  }
}

void NotifiedQueue::Complete(vduse::Chain chain, uint64_t written,
                             Instant now) {
  const uint32_t descriptors = chain.slots();
  ring_.Push(std::move(chain), written);
  ring_.Publish();
  OnPublished(1, descriptors, now);
}

void NotifiedQueue::OnTimer(Instant now) {
  if (coalescer_.OnTimer(now)) FlushDue(now);
  if (owed_ && now >= retry_at_) Inject(now);
}

std::optional<Instant> NotifiedQueue::deadline() const {
  std::optional<Instant> retry;
  if (owed_) retry = retry_at_;
  return Earlier(coalescer_.deadline(), retry);
}

// The coalescer asked for a flush: its deadline has passed, or enough packets
// are pending.
void NotifiedQueue::FlushDue(Instant now) {
  const std::optional<Instant>& deadline = coalescer_.flushed().deadline;
  if (!deadline || now < *deadline) {
    Flush(FlushCause::kPackets, now);
    return;
  }
  if (histograms_ != nullptr) {
    histograms_->lateness_ns.Record(Nanoseconds(now - *deadline));
  }
  Flush(FlushCause::kTime, now);
}

void NotifiedQueue::Flush(FlushCause cause, Instant now) {
  ++counters_.flushes;
  ++counters_.causes[static_cast<size_t>(cause)];
  // Whether the driver wants a notification is unknown while its rings are not
  // mapped.
  if (ring_.mapped() && !ring_.NotificationWanted()) {
    ++counters_.suppressed;
    return;
  }
  unnotified_descriptors_ = 0;
  coalescer_.OnNotified(now);
  if (coalescer_.adaptive()) SayIfSwitched();
  const coalesce::Coalescer::Batch& batch = coalescer_.flushed();
  counters_.waited_ns += Nanoseconds(batch.waited(now));
  if (histograms_ != nullptr) {
    histograms_->packets.Record(batch.packets);
    histograms_->delay_ns.Record(Nanoseconds(now - batch.first));
  }
  owed_ = true;
  if (now >= retry_at_) Inject(now);
}

void NotifiedQueue::Inject(Instant now) {
  switch (device_->Inject(index_)) {
    case vduse::InjectResult::kDelivered:
      ++counters_.notifications;
      owed_ = false;
      retry_delay_ = Duration::zero();
      return;
    case vduse::InjectResult::kNotYet:
      retry_delay_ = retry_delay_ == Duration::zero()
                         ? kFirstRetry
                         : std::min<Duration>(retry_delay_ * 2, kLastRetry);
      retry_at_ = now + retry_delay_;
      return;
    case vduse::InjectResult::kBroken:
      owed_ = false;  // nobody is left to be notified
      return;
  }
}

// Saves the decisions of an adaptive queue, which end with its goal.
void NotifiedQueue::TakeDecisions() {
  waits_ = true;  // every adaptive queue begins by waiting
  if (coalescer_.adaptive()) {
    counters_.decisions += coalescer_.adaptive()->decisions();
  }
}

void NotifiedQueue::SayIfSwitched() {
  const coalesce::Adaptive& adaptive = *coalescer_.adaptive();
  if (adaptive.waiting() == waits_ || !decision_log_.Allow()) return;
  waits_ = adaptive.waiting();
  const uint32_t usecs = coalescer_.setting().bound().max_usecs;
  if (waits_) {
    base::Log(base::Severity::kInfo,
              "queue {}: packets wait up to {} us again: {} came while one "
              "did{}",
              index_, usecs, coalescer_.flushed().packets,
              decision_log_.Suffix());
  } else {
    base::Log(base::Severity::kInfo,
              "queue {}: packets are let through: {} in a row waited {} us, "
              "and none joined them{}",
              index_, coalesce::Adaptive::kPatience, usecs,
              decision_log_.Suffix());
  }
}

std::optional<Instant> Earlier(std::optional<Instant> a,
                               std::optional<Instant> b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

}  // namespace net
