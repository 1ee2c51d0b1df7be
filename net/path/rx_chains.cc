// SPDX-License-Identifier: Apache-2.0
#include "net/path/rx_chains.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "vduse/chain_io.h"

namespace net {
namespace {

bool Usable(const vduse::Chain& chain, uint64_t bytes) {
  return !chain.malformed() && chain.readable().empty() &&
         chain.writable_bytes() >= bytes;
}

}  // namespace

// Appends the next chain of the ring.
bool RxChains::PopOne() {
  if (queue_.ring().Pop(chains_.emplace_back())) return true;
  chains_.pop_back();
  return false;
}

size_t RxChains::CollectEach(uint64_t bytes, size_t limit) {
  size_t packets = 0;
  uint64_t room = 0;  // collected for the next packet
  while (packets < limit && !spent()) {
    if (!PopOne()) break;
    if (!Usable(chains_.back(), kMinChainBytes)) {
      queue_.ring().Unpop(std::move(chains_.back()));
      chains_.pop_back();
      break;
    }
    bytes_ += chains_.back().writable_bytes();
    room += chains_.back().writable_bytes();
    if (merge_ == Merge::kAllowed && room < bytes) continue;
    ++packets;
    room = 0;
  }
  return packets;
}

bool RxChains::Collect(uint64_t bytes, Instant now) {
  const size_t limit = merge_ == Merge::kAllowed ? queue_.ring().size() : 1;
  do {
    if (bytes_ >= bytes || size() >= limit || !PopOne()) break;
    const vduse::Chain& chain = chains_.back();
    if (Usable(chain, kMinChainBytes)) {
      bytes_ += chain.writable_bytes();
      continue;
    }
    const size_t returned = size();
    Reject(returned, now);
    rejections_left_ -=
        static_cast<uint32_t>(std::min<size_t>(returned, rejections_left_));
  } while (!spent());
  return bytes_ >= bytes;
}

bool RxChains::complete() const {
  const vduse::Virtqueue& ring = queue_.ring();
  return size() > 0 && (merge_ == Merge::kNever || size() == ring.size() ||
                        ring.out_of_segments());
}

void RxChains::Reject(size_t count, Instant now) {
  for (; count > 0; --count, ++next_) {
    ++rejected_;
    bytes_ -= chains_[next_].writable_bytes();
    queue_.Complete(std::move(chains_[next_]), 0, now);
  }
  if (next_ == chains_.size()) GiveBack();
}

void RxChains::AppendSegments(std::vector<iovec>& iov) const {
  for (size_t chain = next_; chain < chains_.size(); ++chain) {
    const std::span<const iovec> segments = chains_[chain].writable();
    iov.insert(iov.end(), segments.begin(), segments.end());
  }
}

void RxChains::Write(std::span<const uint8_t> data) const {
  for (size_t i = next_; i < chains_.size() && !data.empty(); ++i) {
    vduse::SegmentCursor chain(chains_[i].writable());
    data = data.subspan(chain.Write(data));
  }
  assert(data.empty());
}

void RxChains::Read(std::span<uint8_t> data) const {
  for (size_t i = next_; i < chains_.size() && !data.empty(); ++i) {
    vduse::SegmentCursor chain(chains_[i].writable());
    data = data.subspan(chain.Read(data));
  }
  assert(data.empty());
}

uint16_t RxChains::ChainsFor(uint64_t bytes) const {
  size_t end = next_;
  for (; bytes > 0 && end < chains_.size(); ++end) {
    bytes -= std::min(bytes, chains_[end].writable_bytes());
  }
  return static_cast<uint16_t>(end - next_);
}

void RxChains::Fill(uint64_t bytes) {
  while (bytes > 0) {
    vduse::Chain& chain = chains_[next_++];
    const uint64_t written = std::min(bytes, chain.writable_bytes());
    bytes -= written;
    bytes_ -= chain.writable_bytes();
    descriptors_ += chain.slots();
    queue_.ring().Push(std::move(chain), written);
  }
  ++packets_;
}

void RxChains::Publish(Instant now) {
  if (packets_ == 0) return;
  MakeVisible();
  queue_.OnPublished(std::exchange(packets_, 0), std::exchange(descriptors_, 0),
                     now);
}

void RxChains::GiveBack() {
  while (size() > 0) {
    queue_.ring().Unpop(std::move(chains_.back()));
    chains_.pop_back();
  }
  chains_.clear();
  next_ = 0;
  bytes_ = 0;
}

}  // namespace net
