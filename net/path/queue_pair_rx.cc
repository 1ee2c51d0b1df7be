// SPDX-License-Identifier: Apache-2.0
//
// The receive path of QueuePair; see queue_pair.h.
#include <errno.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "net/path/offload.h"
#include "net/path/queue_pair.h"

namespace net {
namespace {

// The bytes by which a packet is judged.
constexpr size_t kStartBytes = kHeaderBytes + RxFilter::kLookBytes;

}  // namespace

// Reads a batch of packets and drops them.
void QueuePair::Discard() {
  iov_.clear();
  ios_.clear();
  for (size_t slot = 0; slot < kMaxBatch; ++slot) {
    iov_.push_back({.iov_base = Spill(slot).data(), .iov_len = kSmallBytes});
    ios_.push_back({.segments = std::span(iov_).subspan(slot)});
  }
  worked_ = true;
  bool more = port_usable();
  for (size_t done = 0; more && done < kMaxBatch;) {
    const size_t left = kMaxBatch - done;
    const size_t at_once = std::min(port_->at_once(left), left);
    const auto part = std::span(ios_).subspan(done, at_once);
    port_->Read(part);
    done += at_once;
    for (const Io& io : part) {
      if (io.result.error == 0) ++counters_.rx_stale;
      more = more && io.result.error == 0;
    }
  }
  discard_left_ -= more ? uint32_t{kMaxBatch} : discard_left_;
}

void QueuePair::Receive(Clock clock) {
  rx_->queue.ring().DisableKicks();
  rx_->chains.BeginStep();
  for (size_t got = 0; got < kBudget && !rx_->chains.spent();) {
    if (!staged() && !port_has_more_) return;
    const size_t more = staged() ? DeliverStaged() : ReadBatch();
    if (more == 0) return;
    got += more;
    worked_ = true;
    Look(clock);
  }
  again_ = true;
}

// Reads as many packets as are expected, and delivers those that arrive.
// Returns their number; 0 means that there is no more to do for now.
//
// Small packets are read to the side, many at once, and copied: a read into one
// segment costs less than a read into several. A large packet among them is
// copied, too. After a large packet, packets are read straight into the
// driver's buffers, one at a time, and only what exceeds the buffers goes to
// the side. The packets that came last decide, not the packets that may come.
size_t QueuePair::ReadBatch() {
  const size_t limit = BatchLimit();
  size_t slots = 0;
  if (expected_bytes_ <= kSmallBytes) {
    slots = rx_->chains.CollectEach(expected_bytes_, std::min(rx_batch_, limit),
                                    rx_->mergeable);
  }
  const std::optional<size_t> came =
      slots > 0 ? ReadToSide(slots) : ReadIntoChains();
  if (!came) return 0;
  slots = std::max<size_t>(slots, 1);  // the one into the chains
  if (*came == slots) {
    // A batch that BatchLimit() cut short says nothing about the next one.
    if (rx_batch_ <= limit) rx_batch_ = std::min(2 * slots, kMaxBatch);
  } else {
    rx_batch_ = *came + 1;
    // Packets larger than expected may have used up the buffers: another read
    // finds out.
    port_has_more_ = *came > 0 && rx_->chains.size() == 0;
  }
  rx_->chains.GiveBack();
  return *came;
}

// Reads up to `slots` packets, each to its slot at the side. Returns how many
// came.
std::optional<size_t> QueuePair::ReadToSide(size_t slots) {
  iov_.clear();
  ios_.clear();
  for (size_t slot = 0; slot < slots; ++slot) AddRead(slot, 0);
  const size_t at_once = port_->at_once(slots);
  size_t came = 0;
  size_t read = 0;
  for (size_t slot = 0; slot < slots; ++slot) {
    if (slot == read) {
      if (came < read) break;  // a read came back empty: the port is drained
      read = std::min(slot + at_once, slots);
      port_->Read(std::span(ios_).subspan(slot, read - slot));
    }
    if (Arrived(slot, 0)) ++came;
    if (slot + 1 == read) rx_->chains.MakeVisible();
  }
  rx_->chains.Publish(now_);
  return came;
}

// Reads one packet into the driver's buffers, or to the side if they are too
// small for the expected size. Nothing if there are no buffers.
std::optional<size_t> QueuePair::ReadIntoChains() {
  RxChains& chains = rx_->chains;
  uint64_t in_chains = 0;  // bytes that the read may put in the chains
  const bool enough = CollectFor(expected_bytes_);
  if (chains.size() == 0) {
    if (chains.spent()) {
      again_ = true;
    } else {
      Starve();
    }
    return std::nullopt;
  }
  if (enough) {
    in_chains = chains.bytes();
  } else {
    chains.GiveBack();  // until the packet's size is known
  }
  iov_.clear();
  ios_.clear();
  AddRead(0, in_chains);
  port_->Read(std::span(ios_).first(1));
  const size_t came = Arrived(0, in_chains) ? 1 : 0;
  chains.MakeVisible();
  chains.Publish(now_);
  return came;
}

// Adds a read to the batch: into the chains if `in_chains` is not 0, and then
// into the spill of `slot`.
void QueuePair::AddRead(size_t slot, uint64_t in_chains) {
  const size_t first = iov_.size();
  if (in_chains > 0) rx_->chains.AppendSegments(iov_);
  const std::span<uint8_t> spill = Spill(slot);
  iov_.push_back({.iov_base = spill.data(), .iov_len = spill.size()});
  ios_.push_back({.segments = std::span(iov_).subspan(first)});
}

// Handles the result of one read, whose first `in_chains` bytes are in the
// chains. True if the port had a packet.
bool QueuePair::Arrived(size_t slot, uint64_t in_chains) {
  RxChains& chains = rx_->chains;
  const IoResult& result = ios_[slot].result;
  if (result.error == EFAULT && in_chains > 0) {
    // A buffer has no pages behind it. The packet is lost. The buffer is
    // returned, or the next packet would hit it again.
    ++counters_.rx_bad_packet;
    chains.Reject(chains.size(), now_);
    return true;
  }
  if (result.error != 0) {
    if (result.error == EBADFD) LosePort();
    return false;
  }
  if (result.bytes < kHeaderBytes + kEthernetHeaderBytes ||
      result.bytes >= kSpillBytes) {
    ++counters_.rx_bad_packet;
    return result.bytes != 0;
  }
  const size_t packet_bytes = result.bytes;
  bytes_since_look_ += packet_bytes;
  Expect(packet_bytes);
  const bool direct = in_chains > 0;
  uint64_t room = in_chains;
  if (!direct && chains.size() > 0) {
    room = rx_->mergeable ? chains.bytes() : chains.bytes_of(chains.next());
  }
  const bool fits = packet_bytes <= room;
  if (staged() || !fits) {
    Stage(slot, packet_bytes, std::min<uint64_t>(packet_bytes, in_chains));
    return true;
  }
  std::array<uint8_t, kStartBytes> start;
  std::span<const uint8_t> known = Spill(slot).first(packet_bytes);
  if (direct) {
    known = std::span(start).first(std::min(packet_bytes, kStartBytes));
    chains.Read(std::span(start).first(known.size()));
  }
  const std::optional<VirtioNetHeader> header = Admit(known, packet_bytes);
  if (!header) return true;
  if (!direct) chains.Write(known);
  Deliver(*header, packet_bytes);
  return true;
}

// Puts a packet aside until the driver offers more buffers. The packet's first
// `in_chains` bytes are in the slot's chains, the others at the start of its
// spill.
void QueuePair::Stage(size_t slot, size_t packet_bytes, size_t in_chains) {
  const std::span<uint8_t> spill = Spill(slot);
  std::memmove(spill.data() + in_chains, spill.data(),
               packet_bytes - in_chains);
  if (in_chains > 0) rx_->chains.Read(spill.first(in_chains));
  staged_[staged_end_++] = {.slot = slot, .bytes = packet_bytes};
}

// Delivers the first staged packet. Returns 1, or 0 if the packet has to keep
// waiting.
size_t QueuePair::DeliverStaged() {
  RxChains& chains = rx_->chains;
  const Staged packet = staged_[staged_begin_];
  const std::span<uint8_t> bytes = Spill(packet.slot).first(packet.bytes);
  bytes_since_look_ += packet.bytes;
  // Checked only now, because the driver may have changed its filter or
  // offloads meanwhile.
  if (const auto header = Admit(bytes, packet.bytes)) {
    const bool whole = chains.unspent();
    if (CollectFor(packet.bytes)) {
      chains.Write(bytes);
      Deliver(*header, packet.bytes);
      chains.Publish(now_);
    } else if (Lack(whole)) {
      return 0;
    }
    chains.GiveBack();
  }
  rx_->lacking_since.reset();
  if (++staged_begin_ == staged_end_) {
    staged_begin_ = staged_end_ = 0;
    // The packet may have used up the buffers: the next read finds out.
    port_has_more_ = port_usable();
  }
  return 1;
}

// Whether the driver cannot offer more buffers at once than it does now, so
// that waiting for more makes no sense.
bool QueuePair::DriverCannotLend() const {
  const vduse::Virtqueue& ring = rx_->queue.ring();
  return rx_->chains.size() > 0 &&
         (!rx_->mergeable || rx_->chains.size() == ring.size() ||
          ring.out_of_segments());
}

// The chains found do not suffice for the first staged packet. `whole`: the
// step's whole budget went into the search. Returns true if the packet waits;
// otherwise it is counted as lost.
bool QueuePair::Lack(bool whole) {
  RxChains& chains = rx_->chains;
  if (chains.spent()) {
    // A later search does not meet rejected chains again. Without any, it would
    // meet the same chains and spend the same budget.
    if (whole && chains.size() > 0 && !chains.any_rejected()) {
      ++counters_.rx_too_large;
      return false;
    }
    chains.GiveBack();
    again_ = true;
    return true;
  }
  if (DriverCannotLend()) {
    ++counters_.rx_too_large;
    return false;
  }
  if (chains.size() == 0) {
    rx_->lacking_since.reset();
  } else if (!rx_->lacking_since) {
    rx_->lacking_since = now_;
  } else if (now_ - *rx_->lacking_since >= kLackLimit) {
    ++counters_.rx_overruns;
    return false;
  }
  Starve();
  return true;
}

// Our header for a packet that begins with `start`, which holds kStartBytes or
// the whole packet. Nothing if the driver must not get the packet.
std::optional<VirtioNetHeader> QueuePair::Admit(std::span<const uint8_t> start,
                                                size_t packet_bytes) {
  if (filter_ && !filter_->Accepts(start.subspan(kHeaderBytes))) {
    ++counters_.rx_filtered;
    return std::nullopt;
  }
  VirtioNetHeader theirs;
  std::memcpy(&theirs, start.data(), kHeaderBytes);
  const std::optional<VirtioNetHeader> ours =
      ReceiveHeader(theirs, packet_bytes - kHeaderBytes, rx_->offloads);
  if (!ours) {
    ++counters_.rx_refused;
    return std::nullopt;
  }
  // The TAP's owner sets its MTU, which may differ from the driver's.
  if (BytesOnWire(*ours, packet_bytes - kHeaderBytes) > rx_->frame_limit) {
    ++counters_.rx_over_mtu;
    return std::nullopt;
  }
  return ours;
}

// Completes a packet that is in the next chains except for its header.
void QueuePair::Deliver(VirtioNetHeader header, size_t packet_bytes) {
  RxChains& chains = rx_->chains;
  header.num_buffers = chains.ChainsFor(packet_bytes);
  chains.Write({reinterpret_cast<const uint8_t*>(&header), kHeaderBytes});
  chains.Fill(packet_bytes);
  ++counters_.rx_packets;
  counters_.rx_bytes += packet_bytes - kHeaderBytes;
  if ((header.flags & kHeaderNeedsCsum) != 0) ++counters_.rx_csum;
  if (header.gso_type != kHeaderGsoNone) ++counters_.rx_gso;
  if ((header.gso_type & kHeaderGsoEcn) != 0) ++counters_.rx_ecn;
}

bool QueuePair::CollectFor(uint64_t bytes) {
  const size_t limit = rx_->mergeable ? rx_->queue.ring().size() : 1;
  return rx_->chains.Collect(bytes, limit, now_);
}

// Predicts the size of the next packet. Large packets come in runs. Offering a
// large packet too few buffers costs a copy; offering a small packet far too
// many costs time, too.
void QueuePair::Expect(size_t packet_bytes) {
  if (packet_bytes > kSmallBytes) {
    expected_bytes_ = packet_bytes > usual_bytes_
                          ? kHeaderBytes + kMaxFrameBytes
                          : usual_bytes_;
    largest_small_ = 0;
    small_in_a_row_ = 0;
    return;
  }
  largest_small_ = std::max(largest_small_, packet_bytes);
  if (++small_in_a_row_ < kSmallInARow) {
    // A small packet among large ones predicts nothing.
    if (expected_bytes_ <= kSmallBytes) {
      expected_bytes_ = std::max(expected_bytes_, packet_bytes);
    }
    return;
  }
  expected_bytes_ = std::exchange(largest_small_, 0);
  small_in_a_row_ = 0;
}

// The driver must offer more buffers before anything can be received. Sends it
// the pending notifications that it may wait for, and asks for a kick. Called
// with all offered buffers popped, so that the very next buffer causes a kick.
void QueuePair::Starve() {
  vduse::Virtqueue& ring = rx_->queue.ring();
  rx_->queue.FlushPending(FlushCause::kStarved, now_);
  const bool offered_meanwhile = ring.EnableKicks();
  rx_->chains.GiveBack();
  again_ = again_ || offered_meanwhile;
  rx_->starved = !offered_meanwhile;
}

}  // namespace net
