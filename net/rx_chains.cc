// SPDX-License-Identifier: Apache-2.0
#include "net/rx_chains.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <optional>
#include <utility>

namespace net {
namespace {

bool Usable(const vduse::Chain& chain, uint64_t bytes) {
  return !chain.malformed() && chain.readable().empty() &&
         chain.writable_bytes() >= bytes;
}

}  // namespace

size_t RxChains::CollectEach(uint64_t bytes, size_t limit) {
  while (chains_.size() < limit) {
    std::optional<vduse::Chain> chain = queue_.ring().Pop();
    if (!chain) break;
    if (!Usable(*chain, bytes)) {
      queue_.ring().Unpop(std::move(*chain));
      break;
    }
    bytes_ += chain->writable_bytes();
    chains_.push_back(std::move(*chain));
  }
  return chains_.size();
}

bool RxChains::Collect(uint64_t bytes, size_t limit, Time now) {
  uint32_t rejections = queue_.ring().size();
  while (bytes_ < bytes && size() < limit) {
    std::optional<vduse::Chain> chain = queue_.ring().Pop();
    if (!chain) break;
    const bool usable = Usable(*chain, kMinChainBytes);
    if (usable) bytes_ += chain->writable_bytes();
    chains_.push_back(std::move(*chain));
    if (usable) continue;
    Reject(size(), now);
    if (--rejections == 0) break;
  }
  return bytes_ >= bytes;
}

void RxChains::Reject(size_t count, Time now) {
  for (; count > 0; --count, ++next_) {
    ++rejected_;
    bytes_ -= chains_[next_].writable_bytes();
    queue_.Complete(std::move(chains_[next_]), 0, now);
  }
  if (next_ == chains_.size()) GiveBack();
}

void RxChains::AppendSegments(size_t chain, std::vector<iovec>& iov) const {
  const std::span<const iovec> segments = chains_[chain].writable();
  iov.insert(iov.end(), segments.begin(), segments.end());
}

// Calls `copy` with each piece of `bytes` at `offset` behind the start of
// `chain`, and where it is among them.
template <typename Copy>
void RxChains::ForBytes(size_t chain, uint64_t offset, size_t bytes,
                        Copy copy) const {
  size_t done = 0;
  for (; chain < chains_.size(); ++chain) {
    for (const iovec& segment : chains_[chain].writable()) {
      if (done == bytes) return;
      if (offset >= segment.iov_len) {
        offset -= segment.iov_len;
        continue;
      }
      const size_t n =
          std::min<uint64_t>(bytes - done, segment.iov_len - offset);
      copy(static_cast<uint8_t*>(segment.iov_base) + offset, done, n);
      done += n;
      offset = 0;
    }
  }
  assert(done == bytes);
}

void RxChains::Write(size_t chain, uint64_t offset,
                     std::span<const uint8_t> data) const {
  ForBytes(chain, offset, data.size(), [&](uint8_t* at, size_t done, size_t n) {
    std::memcpy(at, data.data() + done, n);
  });
}

void RxChains::Read(size_t chain, uint64_t offset,
                    std::span<uint8_t> data) const {
  ForBytes(chain, offset, data.size(),
           [&](const uint8_t* at, size_t done, size_t n) {
             std::memcpy(data.data() + done, at, n);
           });
}

void RxChains::CopyToNext(size_t chain, uint64_t bytes) const {
  ForBytes(chain, 0, bytes, [&](const uint8_t* at, size_t done, size_t n) {
    Write(next_, done, {at, n});
  });
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
    descriptors_ += chain.descriptors();
    queue_.ring().Push(std::move(chain), written);
  }
  ++packets_;
}

void RxChains::Publish(Time now) {
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
