// SPDX-License-Identifier: Apache-2.0
#include "net/path/tx_path.h"

#include <errno.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "net/path/offload.h"
#include "net/wire/features.h"
#include "vduse/chain_io.h"

namespace net {

TxPath::TxPath(const Shared& shared, uint32_t index)
    : QueuePath(shared, Direction::kTx, index),
      copies_(
          std::make_unique_for_overwrite<uint8_t[]>(kMaxBatch * kSmallBytes)) {
  packets_.reserve(kMaxBatch);
  iov_.reserve(vduse::Virtqueue::kMaxSegments + kMaxBatch);
  ios_.reserve(kMaxBatch);
}

void TxPath::OnStart(uint64_t features) {
  features_ = features;
  frame_limit_ = FrameLimit(features, mtu());
  pending_ = true;
  blocked_since_.reset();
}

// Completes what the predecessor sent and did not complete.
void TxPath::Recover(Instant /*now*/) {
  size_t sent = journal().SentFrom(ring().published_index());
  for (; sent > 0; --sent) {
    std::optional<vduse::Chain> chain = ring().Pop();
    if (!chain) break;  // the driver took it back
    ring().Push(std::move(*chain), 0);
  }
  ring().Publish();
}

TxCounters TxPath::counters() const {
  TxCounters sum = counters_;
  AddCounters(sum);
  return sum;
}

void TxPath::OnReady(const Ready& ready) {
  if (ready.tx_kick || ready.port_writable || BlockedForTooLong()) Wake();
}

void TxPath::AddWaits(Wait& wait) const {
  if (!servable() || !blocked_since_) return;
  wait.port_writable = port().usable();
  wait.deadline = Earlier(wait.deadline, *blocked_since_ + kBlockedLimit);
}

bool TxPath::BlockedForTooLong() const {
  return blocked_since_ && step().now() - *blocked_since_ >= kBlockedLimit;
}

void TxPath::Run(Clock clock) {
  // Packets for a port that is lost are dropped.
  if (servable() && port().present() && pending_) Transmit(clock);
}

void TxPath::Transmit(Clock clock) {
  pending_ = false;
  ring().DisableKicks();
  const uint64_t end = ring().walked() + kWalkBudget;
  for (size_t taken = 0; taken < kBudget && ring().walked() < end;) {
    Gather(end);
    if (!packets_.empty()) {
      taken += packets_.size();
      step().SetWorked();
      const bool all = Send();
      step().Look(clock);
      if (!all) return;
      continue;
    }
    pending_ = step().polling();
    if (pending_ || !ring().EnableKicks()) return;
    ring().DisableKicks();
    ++taken;
  }
  pending_ = true;
  step().SetAgain();
}

// Pops a batch of the offered chains and prepares those that can be sent.
// Begins no chain once the ring's walked() has reached `walk_end`.
void TxPath::Gather(uint64_t walk_end) {
  iov_.clear();
  ios_.clear();
  packets_.clear();
  const uint64_t tag =
      journal().Begin(Direction::kTx, {.first = ring().pushed_index()});
  const size_t limit = step().BatchLimit();
  while (packets_.size() < limit && ring().walked() < walk_end) {
    Packet& packet = packets_.emplace_back();
    if (!ring().Pop(packet.chain)) {
      packets_.pop_back();
      return;
    }
    packet.refused = Check(packet);
    if (packet.refused == nullptr) {
      Prepare(packet, PairJournal::Tag(tag, packets_.size() - 1));
    }
  }
}

// Reads the driver's header once and checks it; the header itself is never
// handed on. Returns the counter for the reason to refuse the packet, or null.
uint64_t TxCounters::*TxPath::Check(Packet& packet) const {
  const vduse::Chain& chain = packet.chain;
  if (chain.malformed() || !chain.writable().empty() ||
      chain.readable_bytes() < kHeaderBytes) {
    return &TxCounters::bad_chain;
  }
  packet.frame_bytes = chain.readable_bytes() - kHeaderBytes;
  if (packet.frame_bytes < kEthernetHeaderBytes ||
      packet.frame_bytes > kMaxFrameBytes) {
    return &TxCounters::bad_length;
  }
  const auto theirs = vduse::ChainReader(chain).Take<VirtioNetHeader>();
  const std::optional<VirtioNetHeader> ours =
      TransmitHeader(theirs, packet.frame_bytes, features_);
  if (!ours) return &TxCounters::bad_header;
  packet.header = *ours;
  if (BytesOnWire(*ours, packet.frame_bytes) > frame_limit_) {
    return &TxCounters::bad_length;
  }
  if (!port().usable()) return &TxCounters::port_drops;
  return nullptr;
}

// Adds a write of our header, followed by the driver's frame.
void TxPath::Prepare(Packet& packet, uint64_t tag) {
  const size_t first = iov_.size();
  vduse::ChainReader frame(packet.chain);
  frame.Skip(kHeaderBytes);
  if (packet.frame_bytes <= kCopyBytes) {
    uint8_t* const copy = copies_.get() + ios_.size() * kSmallBytes;
    std::memcpy(copy, &packet.header, kHeaderBytes);
    uint8_t* to = copy + kHeaderBytes;
    frame.Rest([&](const uint8_t* data, size_t bytes) {
      std::memcpy(to, data, bytes);
      to += bytes;
    });
    iov_.push_back(
        {.iov_base = copy, .iov_len = static_cast<size_t>(to - copy)});
  } else {
    iov_.push_back({.iov_base = &packet.header, .iov_len = kHeaderBytes});
    frame.Rest([&](uint8_t* data, size_t bytes) {
      iov_.push_back({.iov_base = data, .iov_len = bytes});
    });
  }
  ios_.push_back({.segments = std::span(iov_).subspan(first), .tag = tag});
}

// Sends the batch. False if some packets have to wait; they stay in the ring.
bool TxPath::Send() {
  const bool expired = BlockedForTooLong();
  const size_t at_once = port()->at_once(ios_.size());
  uint32_t done = 0;
  uint32_t descriptors = 0;
  size_t next = 0;     // next packet of ios_ to complete
  size_t written = 0;  // packets of ios_ written
  // Packets before this one of ios_ may not wait: a later one was sent.
  size_t late = 0;
  for (Packet& packet : packets_) {
    if (packet.refused != nullptr) {
      ++(counters_.*packet.refused);
    } else {
      if (next == written) {
        written = std::min(next + at_once, ios_.size());
        WritePart(next, written);
        late = written;
        while (late > next && ios_[late - 1].result.error != 0) --late;
      }
      const IoResult& result = ios_[next].result;
      const bool may_wait = next >= late && !(expired && done == 0);
      if (result.error == EAGAIN && may_wait) break;
      step().CountBytes(packet.frame_bytes);
      Count(packet, result);
      ++next;
    }
    descriptors += packet.chain.slots();
    ring().Push(std::move(packet.chain), 0);
    ++done;
    if (next == written) ring().Publish();
  }
  if (done > 0) {
    blocked_since_.reset();
    ring().Publish();
    queue_->OnPublished(done, descriptors, step().now());
  }
  if (done == packets_.size()) return true;
  for (size_t i = packets_.size(); i > done; --i) {
    ring().Unpop(std::move(packets_[i - 1].chain));
  }
  if (!blocked_since_) blocked_since_ = step().now();
  return false;
}

// Writes the packets [first, end) of ios_.
void TxPath::WritePart(size_t first, size_t end) {
  const auto part = std::span(ios_).subspan(first, end - first);
  if (port().usable()) {
    port()->Write(part);
  } else {
    for (Io& io : part) io.result = {.error = EBADFD};
  }
}

void TxPath::Count(const Packet& packet, const IoResult& result) {
  switch (result.error) {
    case 0:
      ++counters_.packets;
      counters_.bytes += packet.frame_bytes;
      counters_.CountOffloads(packet.header);
      return;
    case EINVAL:
      ++counters_.port_refused;
      return;
    case EFAULT:
      ++counters_.bad_chain;
      return;
    case EBADFD:
      port().Lose();
      [[fallthrough]];
    default:  // EIO: the interface is down. ENOBUFS, ENOMEM: temporary
      ++counters_.port_drops;
  }
}

}  // namespace net
