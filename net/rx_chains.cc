// SPDX-License-Identifier: Apache-2.0
#include "net/rx_chains.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <optional>
#include <utility>

namespace net {

bool RxChains::Collect(uint64_t bytes, size_t limit, Time now) {
  uint32_t rejections = queue_.ring().size();
  while (bytes_ < bytes && chains_.size() < limit) {
    std::optional<vduse::Chain> chain = queue_.ring().Pop();
    if (!chain) break;
    const bool usable = !chain->malformed() && chain->readable().empty() &&
                        chain->writable_bytes() >= kMinChainBytes;
    if (usable) {
      bytes_ += chain->writable_bytes();
      chains_.push_back(std::move(*chain));
      continue;
    }
    Reject(std::move(*chain), now);
    if (--rejections == 0) break;
  }
  return bytes_ >= bytes;
}

void RxChains::RejectAll(Time now) {
  rejected_ += chains_.size();
  for (vduse::Chain& chain : chains_) {
    queue_.Complete(std::move(chain), 0, now);
  }
  chains_.clear();
  bytes_ = 0;
}

void RxChains::Reject(vduse::Chain chain, Time now) {
  RejectAll(now);
  ++rejected_;
  queue_.Complete(std::move(chain), 0, now);
}

void RxChains::AppendSegments(uint64_t skip, std::vector<iovec>& iov) const {
  for (const vduse::Chain& chain : chains_) {
    for (const iovec& segment : chain.writable()) {
      const size_t cut = std::min<uint64_t>(skip, segment.iov_len);
      skip -= cut;
      if (cut == segment.iov_len) continue;
      iov.push_back({.iov_base = static_cast<uint8_t*>(segment.iov_base) + cut,
                     .iov_len = segment.iov_len - cut});
    }
  }
}

// Calls `copy` with each piece of `bytes` at `offset`, and where it is among
// them.
template <typename Copy>
void RxChains::ForBytes(uint64_t offset, size_t bytes, Copy copy) const {
  size_t done = 0;
  for (const vduse::Chain& chain : chains_) {
    for (const iovec& segment : chain.writable()) {
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

void RxChains::Write(uint64_t offset, std::span<const uint8_t> data) const {
  ForBytes(offset, data.size(), [&](uint8_t* at, size_t done, size_t n) {
    std::memcpy(at, data.data() + done, n);
  });
}

void RxChains::Read(uint64_t offset, std::span<uint8_t> data) const {
  ForBytes(offset, data.size(), [&](const uint8_t* at, size_t done, size_t n) {
    std::memcpy(data.data() + done, at, n);
  });
}

uint16_t RxChains::ChainsFor(uint64_t bytes) const {
  uint16_t count = 0;
  for (const vduse::Chain& chain : chains_) {
    if (bytes == 0) break;
    bytes -= std::min(bytes, chain.writable_bytes());
    ++count;
  }
  return count;
}

void RxChains::Commit(uint64_t bytes, Time now) {
  const size_t count = ChainsFor(bytes);
  while (chains_.size() > count) {
    queue_.ring().Unpop(std::move(chains_.back()));
    chains_.pop_back();
  }
  uint32_t descriptors = 0;
  for (vduse::Chain& chain : chains_) {
    const uint64_t written = std::min(bytes, chain.writable_bytes());
    bytes -= written;
    descriptors += chain.descriptors();
    queue_.ring().Push(std::move(chain), written);
  }
  chains_.clear();
  bytes_ = 0;
  queue_.ring().Publish();
  queue_.OnPublished(1, descriptors, now);
}

void RxChains::GiveBack() {
  while (!chains_.empty()) {
    queue_.ring().Unpop(std::move(chains_.back()));
    chains_.pop_back();
  }
  bytes_ = 0;
}

}  // namespace net
