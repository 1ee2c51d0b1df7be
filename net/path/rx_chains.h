// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_RX_CHAINS_H_
#define VDUSE_NET_NET_PATH_RX_CHAINS_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "net/path/io.h"
#include "net/path/notified_queue.h"
#include "net/wire/header.h"
#include "vduse/chain.h"

namespace net {

// The receive buffers for a batch of packets: chains popped and not yet
// returned (virtio 1.3, 5.1.6.4). A chain is named by its index among those
// collected; chains that hold a packet are returned in that order.
//
// Publish() and GiveBack() return all chains within the step.
class RxChains {
 public:
  // A buffer must hold a header and the start of a frame.
  static constexpr uint64_t kMinChainBytes =
      kHeaderBytes + kEthernetHeaderBytes;

  explicit RxChains(NotifiedQueue& queue) : queue_(queue) {
    chains_.reserve(queue.ring().size());
  }
  RxChains(const RxChains&) = delete;
  RxChains& operator=(const RxChains&) = delete;

  // How far a step may search: descriptors walked, except for those of the last
  // chain, and chains returned without a packet, except for those returned
  // together with the last.
  static constexpr uint64_t kWalkBudget = 32768;
  static constexpr uint32_t kRejectBudget = kMaxBatch;

  // Restores the whole budget.
  void BeginStep() {
    walk_begin_ = queue_.ring().walked();
    rejections_left_ = kRejectBudget;
  }
  // Whether the budget is untouched, whether chains were rejected, and whether
  // the budget is used up.
  bool unspent() const {
    return walked() == 0 && rejections_left_ == kRejectBudget;
  }
  bool any_rejected() const { return rejections_left_ < kRejectBudget; }
  bool spent() const {
    return walked() >= kWalkBudget || rejections_left_ == 0;
  }

  // Pops chains for up to `limit` packets of `bytes` each, and returns for how
  // many packets they suffice. With `merge`, a packet gets several chains if
  // one is too small. Without it, each packet gets one chain of any size. An
  // unusable chain ends the search and is left to Collect().
  [[nodiscard]] size_t CollectEach(uint64_t bytes, size_t limit, bool merge);

  // Pops at most `limit` chains, until `bytes` fit in them. False if the driver
  // has not offered enough, or if the budget is spent; even then one more chain
  // is looked at. An unusable chain is returned with length 0, and so are the
  // chains before it, because order is kept.
  [[nodiscard]] bool Collect(uint64_t bytes, size_t limit, Time now);

  // Chains that are not filled yet: their number, their writable bytes, and the
  // index of the first.
  size_t size() const { return chains_.size() - next_; }
  uint64_t bytes() const { return bytes_; }
  size_t next() const { return next_; }
  uint64_t bytes_of(size_t chain) const {
    return chains_[chain].writable_bytes();
  }
  uint64_t rejected() const { return rejected_; }

  // Appends to `iov` the segments of all chains from next() on.
  void AppendSegments(std::vector<iovec>& iov) const;

  // Copies `data` into the chains from next() on. The data must fit.
  void Write(std::span<const uint8_t> data) const;

  // Fills `data` with the first bytes of the chains from next() on.
  void Read(std::span<uint8_t> data) const;

  // The number of chains from next() on that a packet of `bytes` occupies.
  uint16_t ChainsFor(uint64_t bytes) const;

  // The chains from next() on hold a packet of `bytes`: pushes them.
  void Fill(uint64_t bytes);

  // Makes the filled chains visible to the driver.
  void MakeVisible() { queue_.ring().Publish(); }

  // MakeVisible(), and accounts for the packets: a notification may be due.
  void Publish(Time now);

  // Returns the next `count` chains with length 0.
  void Reject(size_t count, Time now);

  // Returns unfilled chains to the ring; they are popped again later.
  void GiveBack();

 private:
  [[nodiscard]] bool PopOne();
  uint64_t walked() const { return queue_.ring().walked() - walk_begin_; }
  template <typename Copy>
  void ForBytes(size_t bytes, Copy copy) const;

  NotifiedQueue& queue_;
  std::vector<vduse::Chain> chains_;
  size_t next_ = 0;
  uint64_t bytes_ = 0;
  uint32_t packets_ = 0;      // filled and not yet accounted for
  uint32_t descriptors_ = 0;  // descriptors of those packets
  uint64_t rejected_ = 0;
  uint64_t walk_begin_ = 0;
  uint32_t rejections_left_ = kRejectBudget;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_RX_CHAINS_H_
