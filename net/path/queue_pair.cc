// SPDX-License-Identifier: Apache-2.0
#include "net/path/queue_pair.h"

#include <algorithm>
#include <utility>

#include "net/path/offload.h"
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

QueuePair::QueuePair(vduse::Device& device, const Options& options)
    : device_(device),
      options_(options),
      map_(device),
      tx_copies_(
          std::make_unique_for_overwrite<uint8_t[]>(kMaxBatch * kSmallBytes)),
      spill_(
          std::make_unique_for_overwrite<uint8_t[]>(kMaxBatch * kSpillBytes)),
      usual_bytes_(kHeaderBytes + options.mtu + kEthernetHeaderBytes +
                   kVlanTagBytes),
      expected_bytes_(std::min(usual_bytes_, kSmallBytes)) {
  iov_.reserve(vduse::Virtqueue::kMaxSegments + 2 * kMaxBatch);
  ios_.reserve(kMaxBatch);
  tx_packets_.reserve(kMaxBatch);
}

void QueuePair::SetPort(std::unique_ptr<PacketPort> port) {
  port_ = std::move(port);
  port_lost_ = false;
  discard_left_ = 0;
  port_has_more_ = true;
  if (tx_) tx_->pending = true;
}

absl::Status QueuePair::Start(Direction direction, const vduse::QueueInfo& info,
                              uint64_t features, vduse::Virtqueue::Start start,
                              const coalesce::Setting& coalescing, Time now) {
  const bool rx = direction == Direction::kRx;
  auto ring = vduse::Virtqueue::Create(
      info,
      {.event_idx = Has(features, kFeatureEventIdx),
       .indirect = Has(features, kFeatureIndirectDesc)},
      start, map_);
  if (!ring.ok()) return ring.status();
  const uint32_t size = ring->size();
  // A driver that is short of receive buffers is notified when a packet needs
  // them.
  const uint32_t early_flush =
      rx ? NotifiedQueue::kNoEarlyFlush : TxEarlyFlush(size);
  NotifiedQueue queue(device_, 2 * options_.pair + (rx ? 0 : 1),
                      std::move(*ring), early_flush);
  queue.RecordTo(histograms_[rx ? 0 : 1]);
  queue.SetCoalescing(coalescing, now);
  if (start == vduse::Virtqueue::Start::kRecovered) queue.Owe();
  if (rx) {
    rx_ = std::make_unique<Rx>(std::move(queue));
    rx_->mergeable = Has(features, kFeatureMrgRxbuf);
    rx_->offloads = features & kGuestOffloads;
    rx_->frame_limit = FrameLimit(features, options_.mtu);
    port_has_more_ = true;
  } else {
    tx_ = std::make_unique<Tx>(std::move(queue));
    tx_->features = features;
    tx_->frame_limit = FrameLimit(features, options_.mtu);
  }
  return absl::OkStatus();
}

void QueuePair::Stop(Direction direction) {
  if (direction == Direction::kRx) {
    if (rx_) {
      rx_->queue.Cancel();
      Add(counters_, *rx_);
    }
    rx_.reset();
    staged_begin_ = staged_end_ = 0;
  } else {
    if (tx_) {
      tx_->queue.Cancel();
      Add(counters_, *tx_);
    }
    tx_.reset();
  }
}

void QueuePair::Stop() {
  Stop(Direction::kRx);
  Stop(Direction::kTx);
  remap_at_.reset();
  map_.DropAll();
}

void QueuePair::Settle(Direction direction, FlushCause cause, Time now) {
  if (direction == Direction::kRx && rx_) rx_->queue.Settle(cause, now);
  if (direction == Direction::kTx && tx_) tx_->queue.Settle(cause, now);
}

void QueuePair::Owe(Direction direction) {
  if (direction == Direction::kRx && rx_) rx_->queue.Owe();
  if (direction == Direction::kTx && tx_) tx_->queue.Owe();
}

void QueuePair::SetAsid(uint32_t asid) {
  InvalidateIova(0, UINT64_MAX);
  map_.SetAsid(asid);
}

void QueuePair::SetGuestOffloads(uint64_t offloads) {
  if (rx_) rx_->offloads = offloads;
}

void QueuePair::CountKicks(Direction direction, uint64_t kicks) {
  (direction == Direction::kRx ? counters_.rx_kicks : counters_.tx_kicks) +=
      kicks;
}

void QueuePair::SetReceiving(bool receiving) {
  receiving_ = receiving;
  port_has_more_ = receiving;
  // Nobody receives the packets that arrived before.
  if (receiving) return;
  staged_begin_ = staged_end_ = 0;
  if (rx_) rx_->lacking_since.reset();
}

bool QueuePair::running(Direction direction) const {
  return direction == Direction::kRx ? rx_ != nullptr : tx_ != nullptr;
}

void QueuePair::SetCoalescing(Direction direction,
                              const coalesce::Setting& setting, Time now) {
  if (direction == Direction::kRx && rx_) {
    rx_->queue.SetCoalescing(setting, now);
  }
  if (direction == Direction::kTx && tx_) {
    tx_->queue.SetCoalescing(setting, now);
  }
}

void QueuePair::InvalidateIova(uint64_t first, uint64_t last) {
  map_.Drop(first, last);
  if (rx_) rx_->queue.ring().UnmapRings();
  if (tx_) tx_->queue.ring().UnmapRings();
  remap_at_.reset();
  remap_delay_ = Time::zero();
}

std::optional<uint16_t> QueuePair::Position(Direction direction) const {
  if (direction == Direction::kRx && rx_) return rx_->queue.ring().position();
  if (direction == Direction::kTx && tx_) return tx_->queue.ring().position();
  return std::nullopt;
}

std::string QueuePair::BrokenReason(Direction direction) const {
  if (direction == Direction::kRx && rx_) {
    return rx_->queue.ring().broken_reason();
  }
  if (direction == Direction::kTx && tx_) {
    return tx_->queue.ring().broken_reason();
  }
  return "";
}

void QueuePair::Add(QueuePairCounters& to, const Rx& rx) {
  to.rx_queue += rx.queue.counters();
  vduse::AddErrors(to.rx_chain_errors, rx.queue.ring().chain_errors());
  to.rx_bad_chain += rx.chains.rejected();
}

void QueuePair::Add(QueuePairCounters& to, const Tx& tx) {
  to.tx_queue += tx.queue.counters();
  vduse::AddErrors(to.tx_chain_errors, tx.queue.ring().chain_errors());
}

QueuePairCounters QueuePair::counters() const {
  QueuePairCounters sum = counters_;
  if (rx_) Add(sum, *rx_);
  if (tx_) Add(sum, *tx_);
  return sum;
}

Wait QueuePair::Step(Ready ready, Clock clock) {
  now_ = clock();
  bytes_since_look_ = 0;
  again_ = ready.polling;
  worked_ = false;
  polling_ = ready.polling;
  if (ready.port_gone) LosePort();
  if (map_.Trim()) {
    if (rx_) rx_->queue.ring().UnmapRings();
    if (tx_) tx_->queue.ring().UnmapRings();
  }
  const bool remap = !remap_at_ || now_ >= *remap_at_;
  const bool rx_runs = rx_ && RemapRings(rx_->queue, remap);
  const bool tx_runs = tx_ && RemapRings(tx_->queue, remap);
  if (remap) ScheduleRemap();
  if (tx_ && (ready.tx_kick || ready.port_writable)) tx_->pending = true;
  if (rx_ && ready.rx_kick) rx_->starved = false;
  if (ready.port_readable) port_has_more_ = true;
  const std::optional<Time> lack_ends = LackEnds();
  if (lack_ends && now_ >= *lack_ends) rx_->starved = false;

  if (tx_runs && port_) {
    if (tx_->blocked_since && now_ - *tx_->blocked_since >= kBlockedLimit) {
      tx_->pending = true;
    }
    if (tx_->pending) Transmit(clock);
  }
  if (discard_left_ > 0) Discard();
  if (discard_left_ > 0) {
    again_ = true;
  } else if (rx_runs && port_usable() && receiving_ && !rx_->starved &&
             (port_has_more_ || staged())) {
    Receive(clock);
  }
  CheckMemory();

  NotifyDue();

  Wait wait;
  wait.again = again_;
  wait.worked = worked_;
  wait.deadline = Earlier(remap_at_, NotifyDeadline());
  if (rx_) {
    wait.port_readable = rx_runs && port_usable() && receiving_ &&
                         !rx_->starved && !rx_->queue.ring().broken();
    if (rx_runs && port_usable()) {
      wait.deadline = Earlier(wait.deadline, LackEnds());
    }
  }
  if (tx_runs && !tx_->queue.ring().broken() && tx_->blocked_since) {
    wait.port_writable = port_usable();
    wait.deadline = Earlier(wait.deadline, *tx_->blocked_since + kBlockedLimit);
  }
  return wait;
}

// When a packet that lacks buffers has waited for long enough. Nothing if the
// queue cannot be served, because then nothing can be done about the packet.
std::optional<Time> QueuePair::LackEnds() const {
  if (!rx_ || !rx_->lacking_since || rx_->queue.ring().broken()) {
    return std::nullopt;
  }
  return *rx_->lacking_since + kLackLimit;
}

// When the next notification is due.
std::optional<Time> QueuePair::NotifyDeadline() const {
  std::optional<Time> deadline;
  if (rx_) deadline = rx_->queue.deadline();
  if (tx_) deadline = Earlier(deadline, tx_->queue.deadline());
  return deadline;
}

void QueuePair::NotifyDue() {
  if (rx_) rx_->queue.OnTimer(now_);
  if (tx_) tx_->queue.OnTimer(now_);
}

// Reads the clock if some time may have passed, and sends the notifications
// that are due by then.
void QueuePair::Look(Clock clock) {
  const bool must = options_.timer_poll && NotifyDeadline();
  if (bytes_since_look_ < kLookBytes && !must) return;
  bytes_since_look_ = 0;
  now_ = clock();
  NotifyDue();
}

// The most packets that the next batch may have. While no deadline runs, the
// batch may start one.
size_t QueuePair::BatchLimit() const {
  if (!options_.timer_poll) return kMaxBatch;
  Time left = Time::max();
  int64_t fewest = 1;
  if (const std::optional<Time> deadline = NotifyDeadline()) {
    left = *deadline - now_;
  } else {
    fewest = kFewest;
    const auto consider = [&](const NotifiedQueue& queue) {
      const Time delay =
          std::chrono::microseconds(queue.effective_params().max_usecs);
      if (delay > Time::zero()) left = std::min(left, delay);
    };
    if (rx_) consider(rx_->queue);
    if (tx_) consider(tx_->queue);
  }
  return static_cast<size_t>(
      std::clamp<int64_t>(left / kPacketTime, fewest, kMaxBatch));
}

// Whether the queue can be served. If `remap`, rings whose translation was
// dropped are mapped again.
bool QueuePair::RemapRings(NotifiedQueue& queue, bool remap) {
  if (queue.ring().broken()) return false;
  if (queue.ring().mapped()) return true;
  if (!remap || !queue.ring().MapRings()) return false;
  if (tx_) tx_->pending = true;
  if (rx_) rx_->starved = false;
  return true;
}

// Schedules the next attempt to map missing rings. The intervals grow, because
// the driver may have no memory there.
void QueuePair::ScheduleRemap() {
  const auto missing = [](const NotifiedQueue& queue) {
    return !queue.ring().broken() && !queue.ring().mapped();
  };
  if ((rx_ && missing(rx_->queue)) || (tx_ && missing(tx_->queue))) {
    remap_delay_ =
        std::clamp<Time>(remap_delay_ * 2, std::chrono::milliseconds(10),
                         std::chrono::seconds(1));
    remap_at_ = now_ + remap_delay_;
  } else {
    remap_at_.reset();
    remap_delay_ = Time::zero();
  }
}

void QueuePair::CheckMemory() {
  const std::string fault = map_.TakeFault();
  if (fault.empty()) return;
  for (NotifiedQueue* queue :
       {rx_ ? &rx_->queue : nullptr, tx_ ? &tx_->queue : nullptr}) {
    if (queue != nullptr) {
      queue->ring().Break(fault);
    }
  }
}

void QueuePair::LosePort() { port_lost_ = port_ != nullptr; }

}  // namespace net
