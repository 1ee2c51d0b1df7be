// SPDX-License-Identifier: Apache-2.0
//
// The definitions behind net/queue_pair.h, for those who instantiate it.
#ifndef VDUSE_NET_NET_QUEUE_PAIR_IMPL_H_
#define VDUSE_NET_NET_QUEUE_PAIR_IMPL_H_

#include <errno.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "net/features.h"
#include "net/offload.h"
#include "net/queue_pair.h"

namespace net {

template <PacketPort Port>
QueuePair<Port>::QueuePair(vduse::Device& device, uint32_t pair, uint16_t mtu)
    : device_(device),
      pair_(pair),
      mtu_(mtu),
      map_(device),
      spill_(kMaxFrameBytes + 1),
      expected_bytes_(kHeaderBytes + mtu + kFrameOverhead) {
  iov_.reserve(vduse::Virtqueue::kMaxSegments + 2);
}

template <PacketPort Port>
void QueuePair<Port>::SetPort(Port port) {
  port_.emplace(std::move(port));
  port_lost_ = false;
  port_has_more_ = true;
  if (tx_) tx_->pending = true;
}

template <PacketPort Port>
absl::Status QueuePair<Port>::Start(Direction direction,
                                    const vduse::QueueInfo& info,
                                    uint64_t features,
                                    vduse::Virtqueue::Start start,
                                    coalesce::Params params, Time now) {
  const bool rx = direction == Direction::kRx;
  auto ring = vduse::Virtqueue::Create(
      info,
      {.event_idx = Has(features, kFeatureEventIdx),
       .indirect = Has(features, kFeatureIndirectDesc)},
      start, map_);
  if (!ring.ok()) return ring.status();
  const uint32_t size = ring->size();
  // A transmitting driver stops while some descriptors are still free, and
  // then waits for a notification.
  const uint32_t early_flush = rx ? size : std::max(1U, size - size / 4);
  NotifiedQueue queue(device_, 2 * pair_ + (rx ? 0 : 1), std::move(*ring),
                      early_flush);
  queue.SetParams(params, now);
  if (start == vduse::Virtqueue::Start::kRecovered) queue.Owe();
  if (rx) {
    rx_ = std::make_unique<Rx>(std::move(queue));
    rx_->mergeable = Has(features, kFeatureMrgRxbuf);
    rx_->offloads = features & kGuestOffloads;
    port_has_more_ = true;
  } else {
    tx_ = std::make_unique<Tx>(std::move(queue));
    tx_->features = features;
  }
  return absl::OkStatus();
}

template <PacketPort Port>
void QueuePair<Port>::Stop(Direction direction) {
  if (direction == Direction::kRx) {
    if (rx_) Add(counters_, *rx_);
    rx_.reset();
    staged_bytes_ = 0;
  } else {
    if (tx_) Add(counters_, *tx_);
    tx_.reset();
  }
}

template <PacketPort Port>
void QueuePair<Port>::Stop() {
  Stop(Direction::kRx);
  Stop(Direction::kTx);
  remap_at_.reset();
  map_.DropAll();
}

template <PacketPort Port>
void QueuePair<Port>::Settle(Time now) {
  if (rx_) rx_->queue.Settle(now);
  if (tx_) tx_->queue.Settle(now);
}

template <PacketPort Port>
void QueuePair<Port>::Owe(Direction direction) {
  if (direction == Direction::kRx && rx_) rx_->queue.Owe();
  if (direction == Direction::kTx && tx_) tx_->queue.Owe();
}

template <PacketPort Port>
void QueuePair<Port>::SetAsid(uint32_t asid) {
  InvalidateIova(0, UINT64_MAX);
  map_.SetAsid(asid);
}

template <PacketPort Port>
void QueuePair<Port>::SetGuestOffloads(uint64_t offloads) {
  if (rx_) rx_->offloads = offloads;
}

template <PacketPort Port>
bool QueuePair<Port>::running(Direction direction) const {
  return direction == Direction::kRx ? rx_ != nullptr : tx_ != nullptr;
}

template <PacketPort Port>
void QueuePair<Port>::SetParams(Direction direction, coalesce::Params params,
                                Time now) {
  if (direction == Direction::kRx && rx_) rx_->queue.SetParams(params, now);
  if (direction == Direction::kTx && tx_) tx_->queue.SetParams(params, now);
}

template <PacketPort Port>
void QueuePair<Port>::InvalidateIova(uint64_t first, uint64_t last) {
  map_.Drop(first, last);
  if (rx_) rx_->queue.ring().UnmapRings();
  if (tx_) tx_->queue.ring().UnmapRings();
  remap_at_.reset();
  remap_delay_ = Time::zero();
}

template <PacketPort Port>
std::optional<uint16_t> QueuePair<Port>::Position(Direction direction) const {
  if (direction == Direction::kRx && rx_) return rx_->queue.ring().position();
  if (direction == Direction::kTx && tx_) return tx_->queue.ring().position();
  return std::nullopt;
}

template <PacketPort Port>
std::string QueuePair<Port>::BrokenReason(Direction direction) const {
  if (direction == Direction::kRx && rx_) {
    return rx_->queue.ring().broken_reason();
  }
  if (direction == Direction::kTx && tx_) {
    return tx_->queue.ring().broken_reason();
  }
  return "";
}

template <PacketPort Port>
void QueuePair<Port>::Add(QueuePairCounters& to, const Rx& rx) {
  to.rx_queue += rx.queue.counters();
  vduse::AddErrors(to.rx_chain_errors, rx.queue.ring().chain_errors());
  to.rx_bad_chain += rx.chains.rejected();
}

template <PacketPort Port>
void QueuePair<Port>::Add(QueuePairCounters& to, const Tx& tx) {
  to.tx_queue += tx.queue.counters();
  vduse::AddErrors(to.tx_chain_errors, tx.queue.ring().chain_errors());
}

template <PacketPort Port>
QueuePairCounters QueuePair<Port>::counters() const {
  QueuePairCounters sum = counters_;
  if (rx_) Add(sum, *rx_);
  if (tx_) Add(sum, *tx_);
  return sum;
}

template <PacketPort Port>
Wait QueuePair<Port>::Step(Ready ready, Time now) {
  again_ = false;
  if (ready.port_gone) LosePort();
  if (map_.Trim()) {
    if (rx_) rx_->queue.ring().UnmapRings();
    if (tx_) tx_->queue.ring().UnmapRings();
  }
  const bool look = !remap_at_ || now >= *remap_at_;
  const bool rx_runs = rx_ && RemapRings(rx_->queue, look);
  const bool tx_runs = tx_ && RemapRings(tx_->queue, look);
  if (look) ScheduleRemap(now);
  if (tx_ && (ready.tx_kick || ready.port_writable)) tx_->pending = true;
  if (rx_ && ready.rx_kick) rx_->starved = false;
  if (ready.port_readable) port_has_more_ = true;

  if (tx_runs && port_) {
    if (tx_->blocked_since && now - *tx_->blocked_since >= kBlockedLimit) {
      tx_->pending = true;
    }
    if (tx_->pending) Transmit(now);
  }
  if (rx_runs && port_usable() && !rx_->starved && port_has_more_) {
    Receive(now);
  }
  CheckPoison();

  Wait wait;
  wait.again = again_;
  wait.deadline = remap_at_;
  if (rx_) {
    rx_->queue.OnTimer(now);
    wait.deadline = Earlier(wait.deadline, rx_->queue.deadline());
    wait.port_readable = rx_runs && port_usable() && !rx_->starved &&
                         !rx_->queue.ring().broken();
  }
  if (tx_) {
    tx_->queue.OnTimer(now);
    wait.deadline = Earlier(wait.deadline, tx_->queue.deadline());
    if (tx_runs && !tx_->queue.ring().broken() && tx_->blocked_since) {
      wait.port_writable = port_usable();
      wait.deadline =
          Earlier(wait.deadline, *tx_->blocked_since + kBlockedLimit);
    }
  }
  return wait;
}

// Whether the queue can be served. Rings whose translation went are looked up
// again if `look`.
template <PacketPort Port>
bool QueuePair<Port>::RemapRings(NotifiedQueue& queue, bool look) {
  if (queue.ring().broken()) return false;
  if (queue.ring().mapped()) return true;
  if (!look || !queue.ring().MapRings()) return false;
  if (tx_) tx_->pending = true;
  if (rx_) rx_->starved = false;
  return true;
}

// Looks for missing rings at growing intervals: the driver may have nothing
// there.
template <PacketPort Port>
void QueuePair<Port>::ScheduleRemap(Time now) {
  const auto missing = [](const NotifiedQueue& queue) {
    return !queue.ring().broken() && !queue.ring().mapped();
  };
  if ((rx_ && missing(rx_->queue)) || (tx_ && missing(tx_->queue))) {
    remap_delay_ =
        std::clamp<Time>(remap_delay_ * 2, std::chrono::milliseconds(10),
                         std::chrono::seconds(1));
    remap_at_ = now + remap_delay_;
  } else {
    remap_at_.reset();
    remap_delay_ = Time::zero();
  }
}

template <PacketPort Port>
void QueuePair<Port>::CheckPoison() {
  if (!map_.TakePoisoned()) return;
  for (NotifiedQueue* queue :
       {rx_ ? &rx_->queue : nullptr, tx_ ? &tx_->queue : nullptr}) {
    if (queue != nullptr) {
      queue->ring().Break("driver memory has no pages behind it (SIGBUS)");
    }
  }
}

template <PacketPort Port>
void QueuePair<Port>::Transmit(Time now) {
  vduse::Virtqueue& ring = tx_->queue.ring();
  tx_->pending = false;
  ring.DisableKicks();
  for (uint32_t i = 0; i < kBudget; ++i) {
    std::optional<vduse::Chain> chain = ring.Pop();
    if (!chain) {
      if (!ring.EnableKicks()) return;
      ring.DisableKicks();
      continue;
    }
    if (Send(*chain, now) == Sent::kBlocked) {
      ring.Unpop(std::move(*chain));
      if (!tx_->blocked_since) tx_->blocked_since = now;
      return;
    }
    tx_->blocked_since.reset();
    tx_->queue.Complete(std::move(*chain), 0, now);
  }
  tx_->pending = true;
  again_ = true;
}

template <PacketPort Port>
typename QueuePair<Port>::Sent QueuePair<Port>::Send(const vduse::Chain& chain,
                                                     Time now) {
  if (chain.malformed() || !chain.writable().empty() ||
      chain.readable_bytes() < kHeaderBytes) {
    ++counters_.tx_bad_chain;
    return Sent::kDone;
  }
  const uint64_t frame_bytes = chain.readable_bytes() - kHeaderBytes;
  if (frame_bytes < kEthernetHeaderBytes || frame_bytes > kMaxFrameBytes) {
    ++counters_.tx_bad_length;
    return Sent::kDone;
  }
  // The driver's header is read once, judged, and never handed on: ours goes
  // first, its frame follows.
  VirtioNetHeader theirs;
  iov_.clear();
  iov_.push_back({.iov_base = &tx_header_, .iov_len = kHeaderBytes});
  size_t gathered = 0;
  for (const iovec& segment : chain.readable()) {
    const size_t cut = std::min(kHeaderBytes - gathered, segment.iov_len);
    std::memcpy(reinterpret_cast<uint8_t*>(&theirs) + gathered,
                segment.iov_base, cut);
    gathered += cut;
    if (cut == segment.iov_len) continue;
    iov_.push_back({.iov_base = static_cast<uint8_t*>(segment.iov_base) + cut,
                    .iov_len = segment.iov_len - cut});
  }
  const std::optional<VirtioNetHeader> ours =
      TransmitHeader(theirs, frame_bytes, tx_->features);
  if (!ours) {
    ++counters_.tx_bad_header;
    return Sent::kDone;
  }
  tx_header_ = *ours;
  const bool segmented = ours->gso_type != kHeaderGsoNone;
  if (!segmented && frame_bytes > uint64_t{mtu_} + kFrameOverhead) {
    ++counters_.tx_bad_length;
    return Sent::kDone;
  }
  if (!port_usable()) {
    ++counters_.tx_port_drops;
    return Sent::kDone;
  }
  const IoResult result = port_->Write(iov_);
  switch (result.error) {
    case 0:
      ++counters_.tx_packets;
      counters_.tx_bytes += frame_bytes;
      if ((ours->flags & kHeaderNeedsCsum) != 0) ++counters_.tx_csum;
      if (segmented) ++counters_.tx_gso;
      if ((ours->gso_type & kHeaderGsoEcn) != 0) ++counters_.tx_ecn;
      return Sent::kDone;
    case EAGAIN:
      if (tx_->blocked_since && now - *tx_->blocked_since >= kBlockedLimit) {
        ++counters_.tx_port_drops;
        return Sent::kDone;
      }
      return Sent::kBlocked;
    case EINVAL:
      ++counters_.tx_port_refused;
      return Sent::kDone;
    case EFAULT:
      ++counters_.tx_bad_chain;
      return Sent::kDone;
    case EBADFD:
      LosePort();
      [[fallthrough]];
    default:  // EIO: the interface is down. ENOBUFS, ENOMEM: passing
      ++counters_.tx_port_drops;
      return Sent::kDone;
  }
}

template <PacketPort Port>
void QueuePair<Port>::Receive(Time now) {
  rx_->queue.ring().DisableKicks();
  for (uint32_t i = 0; i < kBudget; ++i) {
    if (!ReceiveOne(now)) return;
  }
  again_ = true;
}

// One packet from the port to the driver. False when there is no more to do
// for now.
template <PacketPort Port>
bool QueuePair<Port>::ReceiveOne(Time now) {
  if (staged_bytes_ > 0) {
    if (!CollectFor(staged_bytes_, now)) {
      // Where the driver cannot lend more at once, the packet is lost.
      const bool hopeless =
          rx_->chains.size() > 0 &&
          (!rx_->mergeable || rx_->chains.size() == rx_->queue.ring().size() ||
           rx_->queue.ring().out_of_segments());
      if (!hopeless) {
        Starve(now);
        return false;
      }
      ++counters_.rx_too_large;
      staged_bytes_ = 0;
      rx_->chains.GiveBack();
      return true;
    }
    Deliver(std::exchange(staged_bytes_, 0), kHeaderBytes, now);
    return true;
  }

  const bool enough = CollectFor(expected_bytes_, now);
  if (rx_->chains.size() == 0) {
    Starve(now);
    return false;
  }
  // Straight into the chains where they surely suffice; else to one side
  // first, to see how large it is.
  iov_.clear();
  iov_.push_back({.iov_base = &rx_header_, .iov_len = kHeaderBytes});
  if (enough) rx_->chains.AppendSegments(kHeaderBytes, iov_);
  const size_t in_chains = enough ? rx_->chains.bytes() : kHeaderBytes;
  iov_.push_back({.iov_base = spill_.data(), .iov_len = spill_.size()});
  const IoResult result = port_->Read(iov_);
  if (result.error == EFAULT) {
    // A buffer with no pages behind it: the packet is gone, and the buffers
    // go back, or the next packet would meet them again.
    ++counters_.rx_bad_packet;
    rx_->chains.RejectAll(now);
    return true;
  }
  if (result.error != 0) {
    rx_->chains.GiveBack();
    if (result.error == EBADFD) LosePort();
    port_has_more_ = false;
    return false;
  }
  const size_t most = in_chains + spill_.size();
  if (result.bytes < kHeaderBytes + kEthernetHeaderBytes ||
      result.bytes >= most) {
    ++counters_.rx_bad_packet;
    rx_->chains.GiveBack();
    if (result.bytes == 0) port_has_more_ = false;
    return result.bytes != 0;
  }
  if (!enough) {
    rx_->chains.GiveBack();
    staged_bytes_ = result.bytes;
    return true;
  }
  Deliver(result.bytes, in_chains, now);
  return true;
}

// Puts a packet aside until the driver offers more buffers.
template <PacketPort Port>
bool QueuePair<Port>::Stage(size_t packet_bytes, size_t in_chains) {
  if (packet_bytes - kHeaderBytes > spill_.size()) return false;
  const size_t inside = in_chains - kHeaderBytes;
  std::memmove(spill_.data() + inside, spill_.data(), packet_bytes - in_chains);
  rx_->chains.Read(kHeaderBytes, std::span(spill_).first(inside));
  staged_bytes_ = packet_bytes;
  return true;
}

template <PacketPort Port>
bool QueuePair<Port>::CollectFor(uint64_t bytes, Time now) {
  const size_t limit = rx_->mergeable ? rx_->queue.ring().size() : 1;
  return rx_->chains.Collect(bytes, limit, now);
}

// Large packets come in rows, and offering less than one needs costs a copy;
// offering much more than a small one needs costs its share, too.
template <PacketPort Port>
void QueuePair<Port>::Expect(size_t packet_bytes) {
  const size_t usual = kHeaderBytes + mtu_ + kFrameOverhead;
  if (packet_bytes > usual) {
    expected_bytes_ = kHeaderBytes + kMaxFrameBytes;
    small_in_a_row_ = 0;
  } else if (++small_in_a_row_ == kSmallInARow) {
    expected_bytes_ = usual;
  }
}

// Completes a packet of `packet_bytes` (header included). The first
// `in_chains` bytes are in the chains already (all but the header), the rest
// is in the spill.
template <PacketPort Port>
void QueuePair<Port>::Deliver(size_t packet_bytes, size_t in_chains, Time now) {
  // Only now: it may have waited while the driver changed its mind, or have
  // been in the TAP from a driver before.
  std::optional<VirtioNetHeader> header =
      ReceiveHeader(rx_header_, packet_bytes - kHeaderBytes, rx_->offloads);
  if (!header) {
    ++counters_.rx_refused;
    rx_->chains.GiveBack();
    return;
  }
  Expect(packet_bytes);
  if (packet_bytes > in_chains) {
    const size_t had = rx_->chains.size();
    // Chains the ring gave before must still be the first ones: a rejected
    // chain among the new ones takes the whole packet with it.
    const uint64_t rejected = rx_->chains.rejected();
    const bool fits = CollectFor(packet_bytes, now);
    const bool whole =
        rx_->chains.size() >= had && rx_->chains.rejected() == rejected;
    if (!fits || !whole) {
      if (!whole || !Stage(packet_bytes, in_chains)) ++counters_.rx_too_large;
      rx_->chains.GiveBack();
      return;
    }
    rx_->chains.Write(in_chains,
                      std::span(spill_).first(packet_bytes - in_chains));
  }
  header->num_buffers = rx_->chains.ChainsFor(packet_bytes);
  rx_->chains.Write(0,
                    {reinterpret_cast<const uint8_t*>(&*header), kHeaderBytes});
  rx_->chains.Commit(packet_bytes, now);
  ++counters_.rx_packets;
  counters_.rx_bytes += packet_bytes - kHeaderBytes;
  if ((header->flags & kHeaderNeedsCsum) != 0) ++counters_.rx_csum;
  if (header->gso_type != kHeaderGsoNone) ++counters_.rx_gso;
  if ((header->gso_type & kHeaderGsoEcn) != 0) ++counters_.rx_ecn;
}

// The driver has to offer more before anything can be received: tells it of
// all it may be waiting for and asks for a kick. Called with everything that
// was offered popped, so that the kick comes for the very next buffer.
template <PacketPort Port>
void QueuePair<Port>::Starve(Time now) {
  vduse::Virtqueue& ring = rx_->queue.ring();
  rx_->queue.FlushPending(now);
  const bool offered_meanwhile = ring.EnableKicks();
  rx_->chains.GiveBack();
  again_ = again_ || offered_meanwhile;
  rx_->starved = !offered_meanwhile;
}

template <PacketPort Port>
void QueuePair<Port>::LosePort() {
  port_lost_ = port_.has_value();
}

}  // namespace net

#endif  // VDUSE_NET_NET_QUEUE_PAIR_IMPL_H_
