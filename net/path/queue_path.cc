// SPDX-License-Identifier: Apache-2.0
#include "net/path/queue_path.h"

#include <algorithm>
#include <utility>

#include "net/wire/features.h"

namespace net {
namespace {

// A transmitting driver stops while some descriptors are still free, and then
// waits for a notification. Linux stops with fewer than 19 free, the most that
// a packet may need. In a small ring that is more than a quarter.
uint32_t TxEarlyFlush(uint32_t size) {
  const uint32_t kept = std::max(size / 4, 18U);
  return size > kept ? size - kept : 1;
}

}  // namespace

absl::Status QueuePath::Start(const vduse::QueueInfo& info, uint64_t features,
                              vduse::Virtqueue::Start start,
                              const coalesce::Setting& coalescing,
                              Instant now) {
  auto ring = vduse::Virtqueue::Create(
      info,
      {.event_idx = Has(features, kFeatureEventIdx),
       .indirect = Has(features, kFeatureIndirectDesc)},
      start, shared_.map);
  if (!ring.ok()) return ring.status();
  // A driver that is short of receive buffers is notified when a packet needs
  // them.
  const uint32_t early_flush = direction_ == Direction::kRx
                                   ? NotifiedQueue::kNoEarlyFlush
                                   : TxEarlyFlush(ring->size());
  Stop();
  queue_.emplace(shared_.device, index_, std::move(*ring), early_flush);
  queue_->RecordTo(histograms_);
  queue_->SetCoalescing(coalescing, now);
  if (start == vduse::Virtqueue::Start::kRecovered) queue_->Owe();
  shared_.step.SetQueue(direction_, &*queue_);
  OnStart(features);
  PairJournal& journal = shared_.journal;
  if (start == vduse::Virtqueue::Start::kRecovered &&
      journal.IsOf(direction_, info)) {
    Recover(now);
  } else {
    journal.Clear(direction_);
    journal.SetQueue(direction_, info);
  }
  return absl::OkStatus();
}

void QueuePath::Stop() {
  if (!queue_) return;
  OnStop();
  shared_.journal.Clear(direction_);
  queue_->Cancel();
  stopped_queue_ += queue_->counters();
  vduse::AddErrors(stopped_errors_, ring().chain_errors());
  shared_.step.SetQueue(direction_, nullptr);
  queue_.reset();
}

void QueuePath::Owe() {
  if (queue_) queue_->Owe();
}

void QueuePath::Settle(FlushCause cause, Instant now) {
  if (queue_) queue_->Settle(cause, now);
}

void QueuePath::SetCoalescing(const coalesce::Setting& setting, Instant now) {
  if (queue_) queue_->SetCoalescing(setting, now);
}

std::optional<QueuePosition> QueuePath::position() const {
  if (!queue_) return std::nullopt;
  return queue_->ring().position();
}

std::string QueuePath::broken_reason() const {
  return queue_ ? queue_->ring().broken_reason() : "";
}

void QueuePath::UnmapRings() {
  if (queue_) ring().UnmapRings();
}

bool QueuePath::unmapped() const {
  return queue_ && !queue_->ring().broken() && !queue_->ring().mapped();
}

void QueuePath::MapRings() {
  if (unmapped() && ring().MapRings()) Wake();
}

void QueuePath::Break(const std::string& fault) {
  if (queue_) ring().Break(fault);
}

void QueuePath::AddCounters(PathCounters& to) const {
  to.kicks += kicks_;
  to.queue += stopped_queue_;
  vduse::AddErrors(to.chain_errors, stopped_errors_);
  if (!queue_) return;
  to.queue += queue_->counters();
  vduse::AddErrors(to.chain_errors, queue_->ring().chain_errors());
}

}  // namespace net
