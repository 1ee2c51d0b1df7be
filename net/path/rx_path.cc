// SPDX-License-Identifier: Apache-2.0
#include "net/path/rx_path.h"

#include <errno.h>

#include <algorithm>
#include <cstring>

#include "net/path/offload.h"
#include "net/wire/features.h"

namespace net {
namespace {

// The bytes by which a packet is judged.
constexpr size_t kStartBytes = kHeaderBytes + RxFilter::kLookBytes;

}  // namespace

RxPath::RxPath(const Shared& shared, uint32_t index)
    : QueuePath(shared, Direction::kRx, index),
      staging_(shared.journal.staging()),
      forecast_({.small = kSmallBytes,
                 .usual = kHeaderBytes + shared.mtu + kEthernetHeaderBytes +
                          kVlanTagBytes,
                 .largest = kHeaderBytes + kMaxFrameBytes}) {
  iov_.reserve(vduse::Virtqueue::kMaxSegments + kMaxBatch);
  ios_.reserve(kMaxBatch);
}

void RxPath::OnStart(uint64_t features) {
  chains_.emplace(*queue_, Has(features, kFeatureMrgRxbuf)
                               ? RxChains::Merge::kAllowed
                               : RxChains::Merge::kNever);
  offloads_ = features & kGuestOffloads;
  frame_limit_ = FrameLimit(features, mtu());
  starved_ = false;
  port_has_more_ = true;
}

void RxPath::OnStop() {
  DropStaged();
  counters_.bad_chain += chains_->rejected();
  chains_.reset();
}

void RxPath::SetReceiving(bool receiving) {
  receiving_ = receiving;
  port_has_more_ = receiving;
  // Nobody receives the packets that arrived before.
  if (!receiving) DropStaged();
}

// Drops the packets that wait for buffers: they are not the next driver's.
void RxPath::DropStaged() {
  if (!staging_.empty()) journal().Clear(Direction::kRx);
  counters_.stale += staging_.size();
  staging_.Clear();
  lacking_since_.reset();
}

RxCounters RxPath::counters() const {
  RxCounters sum = counters_;
  if (chains_) sum.bad_chain += chains_->rejected();
  AddCounters(sum);
  return sum;
}

void RxPath::OnReady(const Ready& ready) {
  if (ready.rx_kick) starved_ = false;
  if (ready.port_readable) port_has_more_ = true;
  const std::optional<Instant> lack_ends = LackEnds();
  if (lack_ends && step().now() >= *lack_ends) starved_ = false;
}

void RxPath::AddWaits(Wait& wait) const {
  if (!servable() || !port().usable()) return;
  wait.port_readable = receiving_ && !starved_;
  wait.deadline = Earlier(wait.deadline, LackEnds());
}

// When a packet that lacks buffers has waited for long enough. Nothing if the
// queue cannot be served, because then nothing can be done about the packet.
std::optional<Instant> RxPath::LackEnds() const {
  if (!running() || !lacking_since_ || queue_->ring().broken()) {
    return std::nullopt;
  }
  return *lacking_since_ + kLackLimit;
}

void RxPath::Run(Clock clock) {
  if (discard_left_ > 0) Discard();
  if (discard_left_ > 0) {
    step().SetAgain();
  } else if (servable() && port().usable() && receiving_ && !starved_ &&
             (port_has_more_ || !staging_.empty())) {
    Receive(clock);
  }
}

void RxPath::Receive(Clock clock) {
  ring().DisableKicks();
  chains_->BeginStep();
  for (size_t got = 0; got < kBudget && !chains_->spent();) {
    if (staging_.empty() && !port_has_more_) return;
    const size_t more = staging_.empty() ? ReadBatch() : DeliverStaged();
    if (more == 0) return;
    got += more;
    step().SetWorked();
    step().Look(clock);
  }
  step().SetAgain();
}

// Reads as many packets as are expected, and delivers those that arrive.
// Returns their number; 0 means that there is no more to do for now.
//
// Small packets are read to the side, many at once, and copied: a read into one
// segment costs less than a read into several. A large packet among them is
// copied, too. After a large packet, packets are read straight into the
// driver's buffers, one at a time, and only what exceeds the buffers goes to
// the side. The packets that came last decide, not the packets that may come.
size_t RxPath::ReadBatch() {
  const size_t limit = step().BatchLimit();
  size_t slots = 0;
  if (forecast_.expects_small()) {
    slots = chains_->CollectEach(forecast_.expected(), std::min(batch_, limit));
  }
  const std::optional<size_t> came =
      slots > 0 ? ReadToSide(slots) : ReadIntoChains();
  if (!came) return 0;
  slots = std::max<size_t>(slots, 1);  // the one into the chains
  if (*came == slots) {
    // A batch that BatchLimit() cut short says nothing about the next one.
    if (batch_ <= limit) batch_ = std::min(2 * slots, kMaxBatch);
  } else {
    batch_ = *came + 1;
    // Packets larger than expected may have used up the buffers: another read
    // finds out.
    port_has_more_ = *came > 0 && chains_->size() == 0;
  }
  chains_->GiveBack();
  return *came;
}

// Reads up to `slots` packets, each to its slot at the side. Returns how many
// came.
std::optional<size_t> RxPath::ReadToSide(size_t slots) {
  BeginBatch(0);
  for (size_t slot = 0; slot < slots; ++slot) AddRead(slot, 0);
  const size_t at_once = port()->at_once(slots);
  size_t came = 0;
  size_t read = 0;
  for (size_t slot = 0; slot < slots; ++slot) {
    if (slot == read) {
      if (came < read) break;  // a read came back empty: the port is drained
      read = std::min(slot + at_once, slots);
      const auto part = std::span(ios_).subspan(slot, read - slot);
      port()->Read(part);
      NoteResults(part);
    }
    if (Arrived(slot, 0)) ++came;
    if (slot + 1 == read) {
      NoteProgress(staging_.empty() ? read : staging_.FrontSlot());
      chains_->MakeVisible();
    }
  }
  chains_->Publish(step().now());
  return came;
}

// Reads one packet into the driver's buffers, or to the side if they are too
// small for the expected size. Nothing if there are no buffers.
std::optional<size_t> RxPath::ReadIntoChains() {
  uint64_t in_chains = 0;  // bytes that the read may put in the chains
  const bool enough = chains_->Collect(forecast_.expected(), step().now());
  if (chains_->size() == 0) {
    if (chains_->spent()) {
      step().SetAgain();
    } else {
      Starve();
    }
    return std::nullopt;
  }
  if (enough) {
    in_chains = chains_->bytes();
  } else {
    chains_->GiveBack();  // until the packet's size is known
  }
  BeginBatch(in_chains);
  AddRead(0, in_chains);
  port()->Read(std::span(ios_).first(1));
  NoteResults(ios_);
  const size_t came = Arrived(0, in_chains) ? 1 : 0;
  whole_ = whole_ || !staging_.empty();
  NoteProgress(staging_.empty() ? 1 : 0);
  chains_->MakeVisible();
  chains_->Publish(step().now());
  return came;
}

// Begins a batch of reads. The first `in_chains` bytes go into the chains.
void RxPath::BeginBatch(uint64_t in_chains) {
  iov_.clear();
  ios_.clear();
  const uint64_t known = std::min<uint64_t>(in_chains, RxStaging::kSlotBytes);
  tag_ = journal().Begin(Direction::kRx,
                         {.first = ring().published_index(),
                          .in_chains = static_cast<uint32_t>(known)});
  gone_ = 0;
  whole_ = in_chains == 0;
}

// Adds a read to the batch. The part that the chains do not take goes to the
// place in the slot that it has in the packet.
void RxPath::AddRead(size_t slot, uint64_t in_chains) {
  const size_t first = iov_.size();
  if (in_chains > 0) chains_->AppendSegments(iov_);
  if (in_chains < RxStaging::kSlotBytes) {
    if (in_chains == 0) staging_.Allocate(slot, forecast_.expected());
    const std::span<uint8_t> side = staging_.Slot(slot).subspan(in_chains);
    iov_.push_back({.iov_base = side.data(), .iov_len = side.size()});
  }
  ios_.push_back({.segments = std::span(iov_).subspan(first),
                  .tag = PairJournal::Tag(tag_, slot)});
}

// Handles the result of one read, whose first `in_chains` bytes are in the
// chains. True if the port had a packet.
bool RxPath::Arrived(size_t slot, uint64_t in_chains) {
  const IoResult& result = ios_[slot].result;
  if (result.error != 0) return ReadFailed(result.error, in_chains);
  if (!IsPacketLength(result.bytes)) {
    ++counters_.bad_packet;
    return result.bytes != 0;
  }
  const size_t packet_bytes = result.bytes;
  step().CountBytes(packet_bytes);
  forecast_.Note(packet_bytes);
  const bool direct = in_chains > 0;
  if (!staging_.empty() ||
      packet_bytes > (direct ? in_chains : chains_->room())) {
    Stage(slot, packet_bytes, std::min<uint64_t>(packet_bytes, in_chains));
    return true;
  }
  std::array<uint8_t, kStartBytes> start;
  std::span<const uint8_t> known = staging_.Slot(slot).first(packet_bytes);
  if (direct) {
    known = std::span(start).first(std::min(packet_bytes, kStartBytes));
    chains_->Read(std::span(start).first(known.size()));
  }
  const std::optional<VirtioNetHeader> header = Admit(known, packet_bytes);
  if (!header) return true;
  if (!direct) chains_->Write(known);
  Deliver(*header, packet_bytes);
  return true;
}

// True if the port had a packet, which is lost.
bool RxPath::ReadFailed(int error, uint64_t in_chains) {
  switch (error) {
    case EFAULT:
      // A buffer has no pages behind it. The buffer is returned, or the next
      // packet would hit it again.
      if (in_chains == 0) return false;
      ++counters_.bad_packet;
      chains_->Reject(chains_->size(), step().now());
      return true;
    case EINVAL:
      // The kernel took a packet from its queue that no header can describe.
      ++counters_.bad_packet;
      return true;
    case EBADFD:
      port().Lose();
      return false;
    default:  // EAGAIN: drained. EIO: the interface is down
      return false;
  }
}

// Puts a packet aside until the driver offers more buffers. The packet's first
// `in_chains` bytes are in the chains, the others in the slot.
void RxPath::Stage(size_t slot, size_t packet_bytes, size_t in_chains) {
  if (in_chains > 0) chains_->Read(staging_.Slot(slot).first(in_chains));
  staging_.Push(slot, packet_bytes);
}

// Delivers the packet that has waited longest. Returns 1, or 0 if the packet
// has to keep waiting.
size_t RxPath::DeliverStaged() {
  const std::span<const uint8_t> packet = staging_.Front();
  const size_t next = staging_.NextSlot();
  step().CountBytes(packet.size());
  // Checked only now, because the driver may have changed its filter or
  // offloads meanwhile.
  if (const auto header = Admit(packet, packet.size())) {
    const bool whole_budget = chains_->unspent();
    if (chains_->Collect(packet.size(), step().now())) {
      chains_->Write(packet);
      Deliver(*header, packet.size());
      NoteProgress(next);
      chains_->Publish(step().now());
    } else if (WaitsForBuffers(whole_budget)) {
      return 0;
    }
    chains_->GiveBack();
  }
  lacking_since_.reset();
  staging_.Pop();
  NoteProgress(next);
  if (staging_.empty()) {
    // The packet may have used up the buffers: the next read finds out.
    port_has_more_ = port().usable();
  }
  return 1;
}

// The chains found do not suffice for the packet that has waited longest.
// Returns true if the packet waits; otherwise it is counted as lost.
bool RxPath::WaitsForBuffers(bool searched_with_whole_budget) {
  if (chains_->spent()) {
    // A later search does not meet rejected chains again. Without any, it would
    // meet the same chains and spend the same budget.
    if (searched_with_whole_budget && chains_->size() > 0 &&
        !chains_->any_rejected()) {
      ++counters_.too_large;
      return false;
    }
    chains_->GiveBack();
    step().SetAgain();
    return true;
  }
  if (chains_->complete()) {
    ++counters_.too_large;
    return false;
  }
  if (chains_->size() == 0) {
    lacking_since_.reset();
  } else if (!lacking_since_) {
    lacking_since_ = step().now();
  } else if (step().now() - *lacking_since_ >= kLackLimit) {
    ++counters_.overruns;
    return false;
  }
  Starve();
  return true;
}

// Our header for a packet that begins with `start`, which holds kStartBytes or
// the whole packet. Nothing if the driver must not get the packet.
std::optional<VirtioNetHeader> RxPath::Admit(std::span<const uint8_t> start,
                                             size_t packet_bytes) {
  if (filter_ && !filter_->Accepts(start.subspan(kHeaderBytes))) {
    ++counters_.filtered;
    return std::nullopt;
  }
  VirtioNetHeader theirs;
  std::memcpy(&theirs, start.data(), kHeaderBytes);
  const std::optional<VirtioNetHeader> ours =
      ReceiveHeader(theirs, packet_bytes - kHeaderBytes, offloads_);
  if (!ours) {
    ++counters_.refused;
    return std::nullopt;
  }
  // The TAP's owner sets its MTU, which may differ from the driver's.
  if (BytesOnWire(*ours, packet_bytes - kHeaderBytes) > frame_limit_) {
    ++counters_.over_mtu;
    return std::nullopt;
  }
  return ours;
}

// Completes a packet that is in the next chains except for its header.
void RxPath::Deliver(VirtioNetHeader header, size_t packet_bytes) {
  header.num_buffers = chains_->ChainsFor(packet_bytes);
  chains_->Write({reinterpret_cast<const uint8_t*>(&header), kHeaderBytes});
  chains_->Fill(packet_bytes);
  ++counters_.packets;
  counters_.bytes += packet_bytes - kHeaderBytes;
  counters_.CountOffloads(header);
}

// The driver must offer more buffers before anything can be received. Sends it
// the pending notifications that it may wait for, and asks for a kick. Called
// with all offered buffers popped, so that the very next buffer causes a kick.
void RxPath::Starve() {
  queue_->FlushPending(FlushCause::kStarved, step().now());
  const bool offered_meanwhile = ring().EnableKicks();
  chains_->GiveBack();
  if (offered_meanwhile) step().SetAgain();
  starved_ = !offered_meanwhile;
}

}  // namespace net
