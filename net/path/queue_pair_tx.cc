// SPDX-License-Identifier: Apache-2.0
//
// The transmit path of QueuePair; see queue_pair.h.
#include <errno.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "net/path/offload.h"
#include "net/path/queue_pair.h"

namespace net {

void QueuePair::Transmit(Clock clock) {
  vduse::Virtqueue& ring = tx_->queue.ring();
  tx_->pending = false;
  ring.DisableKicks();
  const uint64_t end = ring.walked() + kWalkBudget;
  for (size_t taken = 0; taken < kBudget && ring.walked() < end;) {
    Gather(end);
    if (!tx_packets_.empty()) {
      taken += tx_packets_.size();
      worked_ = true;
      const bool all = Send();
      Look(clock);
      if (!all) return;
      continue;
    }
    tx_->pending = polling_;
    if (polling_ || !ring.EnableKicks()) return;
    ring.DisableKicks();
    ++taken;
  }
  tx_->pending = true;
  again_ = true;
}

// Pops a batch of the offered chains and prepares those that can be sent.
// Begins no chain once the ring's walked() has reached `walk_end`.
void QueuePair::Gather(uint64_t walk_end) {
  iov_.clear();
  ios_.clear();
  tx_packets_.clear();
  const size_t limit = BatchLimit();
  while (tx_packets_.size() < limit && tx_->queue.ring().walked() < walk_end) {
    TxPacket& packet = tx_packets_.emplace_back();
    if (!tx_->queue.ring().Pop(packet.chain)) {
      tx_packets_.pop_back();
      return;
    }
    packet.refused = Judge(packet);
    if (packet.refused == nullptr) Prepare(packet);
  }
}

// Reads the driver's header once and judges it; the header itself is never
// handed on. Returns the counter for the reason to refuse the packet, or null.
uint64_t QueuePairCounters::*QueuePair::Judge(TxPacket& packet) {
  const vduse::Chain& chain = packet.chain;
  if (chain.malformed() || !chain.writable().empty() ||
      chain.readable_bytes() < kHeaderBytes) {
    return &QueuePairCounters::tx_bad_chain;
  }
  packet.frame_bytes = chain.readable_bytes() - kHeaderBytes;
  if (packet.frame_bytes < kEthernetHeaderBytes ||
      packet.frame_bytes > kMaxFrameBytes) {
    return &QueuePairCounters::tx_bad_length;
  }
  VirtioNetHeader theirs;
  size_t gathered = 0;
  for (const iovec& segment : chain.readable()) {
    const size_t n = std::min(kHeaderBytes - gathered, segment.iov_len);
    std::memcpy(reinterpret_cast<uint8_t*>(&theirs) + gathered,
                segment.iov_base, n);
    gathered += n;
    if (gathered == kHeaderBytes) break;
  }
  const std::optional<VirtioNetHeader> ours =
      TransmitHeader(theirs, packet.frame_bytes, tx_->features);
  if (!ours) return &QueuePairCounters::tx_bad_header;
  packet.header = *ours;
  if (BytesOnWire(*ours, packet.frame_bytes) > tx_->frame_limit) {
    return &QueuePairCounters::tx_bad_length;
  }
  if (!port_usable()) return &QueuePairCounters::tx_port_drops;
  return nullptr;
}

// Adds a write of our header, followed by the driver's frame.
void QueuePair::Prepare(TxPacket& packet) {
  const size_t first = iov_.size();
  size_t skip = kHeaderBytes;
  const auto for_frame = [&](auto use) {
    for (const iovec& segment : packet.chain.readable()) {
      const size_t cut = std::min(skip, segment.iov_len);
      skip -= cut;
      if (cut == segment.iov_len) continue;
      use(static_cast<uint8_t*>(segment.iov_base) + cut, segment.iov_len - cut);
    }
  };
  if (packet.frame_bytes <= kCopyBytes) {
    uint8_t* const copy = tx_copies_.get() + ios_.size() * kSmallBytes;
    std::memcpy(copy, &packet.header, kHeaderBytes);
    uint8_t* to = copy + kHeaderBytes;
    for_frame([&](const uint8_t* data, size_t bytes) {
      std::memcpy(to, data, bytes);
      to += bytes;
    });
    iov_.push_back(
        {.iov_base = copy, .iov_len = static_cast<size_t>(to - copy)});
  } else {
    iov_.push_back({.iov_base = &packet.header, .iov_len = kHeaderBytes});
    for_frame([&](uint8_t* data, size_t bytes) {
      iov_.push_back({.iov_base = data, .iov_len = bytes});
    });
  }
  ios_.push_back({.segments = std::span(iov_).subspan(first)});
}

// Sends the batch. False if some packets have to wait; they stay in the ring.
bool QueuePair::Send() {
  vduse::Virtqueue& ring = tx_->queue.ring();
  const bool expired =
      tx_->blocked_since && now_ - *tx_->blocked_since >= kBlockedLimit;
  const size_t at_once = port_->at_once(ios_.size());
  uint32_t done = 0;
  uint32_t descriptors = 0;
  size_t next = 0;     // next packet of ios_ to complete
  size_t written = 0;  // packets of ios_ written
  // Packets before this one of ios_ may not wait: a later one was sent.
  size_t late = 0;
  for (TxPacket& packet : tx_packets_) {
    if (packet.refused != nullptr) {
      ++(counters_.*packet.refused);
    } else {
      if (next == written) {
        written = std::min(next + at_once, ios_.size());
        const auto part = std::span(ios_).subspan(next, written - next);
        if (port_usable()) {
          port_->Write(part);
        } else {
          for (Io& io : part) io.result = {.error = EBADFD};
        }
        late = written;
        while (late > next && ios_[late - 1].result.error != 0) --late;
      }
      const IoResult& result = ios_[next].result;
      const bool may_wait = next >= late && !(expired && done == 0);
      if (result.error == EAGAIN && may_wait) break;
      bytes_since_look_ += packet.frame_bytes;
      Count(packet, result);
      ++next;
    }
    descriptors += packet.chain.descriptors();
    ring.Push(std::move(packet.chain), 0);
    ++done;
    if (next == written) ring.Publish();
  }
  if (done > 0) {
    tx_->blocked_since.reset();
    ring.Publish();
    tx_->queue.OnPublished(done, descriptors, now_);
  }
  if (done == tx_packets_.size()) return true;
  for (size_t i = tx_packets_.size(); i > done; --i) {
    ring.Unpop(std::move(tx_packets_[i - 1].chain));
  }
  if (!tx_->blocked_since) tx_->blocked_since = now_;
  return false;
}

void QueuePair::Count(const TxPacket& packet, const IoResult& result) {
  switch (result.error) {
    case 0:
      ++counters_.tx_packets;
      counters_.tx_bytes += packet.frame_bytes;
      if ((packet.header.flags & kHeaderNeedsCsum) != 0) ++counters_.tx_csum;
      if (packet.header.gso_type != kHeaderGsoNone) ++counters_.tx_gso;
      if ((packet.header.gso_type & kHeaderGsoEcn) != 0) ++counters_.tx_ecn;
      return;
    case EINVAL:
      ++counters_.tx_port_refused;
      return;
    case EFAULT:
      ++counters_.tx_bad_chain;
      return;
    case EBADFD:
      LosePort();
      [[fallthrough]];
    default:  // EIO: the interface is down. ENOBUFS, ENOMEM: temporary
      ++counters_.tx_port_drops;
  }
}

}  // namespace net
