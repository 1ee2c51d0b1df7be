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
// returned (virtio 1.3, 5.1.6.4). A chain is named by its place among those
// collected; the ones that hold a packet are returned in that order.
//
// All are returned by Publish() and GiveBack() within the step.
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

  // How far a step may search: so many descriptors, but for the last chain's,
  // and so many chains returned without a packet, but for those that go with
  // the last.
  static constexpr uint64_t kWalkBudget = 32768;
  static constexpr uint32_t kRejectBudget = kMaxBatch;

  // The budget is whole again.
  void BeginStep() {
    walk_begin_ = queue_.ring().walked();
    rejections_left_ = kRejectBudget;
  }
  // Nothing of it, or all of it, is used.
  bool unspent() const {
    return walked() == 0 && rejections_left_ == kRejectBudget;
  }
  bool any_rejected() const { return rejections_left_ < kRejectBudget; }
  bool spent() const {
    return walked() >= kWalkBudget || rejections_left_ == 0;
  }

  // Pops chains for up to `limit` packets of `bytes` each, and says for how
  // many there are: with `merge` several for a packet where one is too small,
  // without one for each, whatever its size. What is unusable ends the row and
  // is left to Collect().
  [[nodiscard]] size_t CollectEach(uint64_t bytes, size_t limit, bool merge);

  // Pops until `bytes` fit in all, at most `limit` chains. False if the driver
  // has not offered enough, or the budget is spent, but for which one more
  // chain is looked at. Chains that cannot be used are returned with length 0
  // on the way, and with them the ones before, since order is kept.
  [[nodiscard]] bool Collect(uint64_t bytes, size_t limit, Time now);

  size_t size() const { return chains_.size() - next_; }  // not filled yet
  uint64_t bytes() const { return bytes_; }               // in those
  size_t next() const { return next_; }                   // the first of those
  uint64_t bytes_of(size_t chain) const {
    return chains_[chain].writable_bytes();
  }
  uint64_t rejected() const { return rejected_; }

  // Appends the segments of all from next() on to `iov`.
  void AppendSegments(std::vector<iovec>& iov) const;

  // Copies `data` to the start of next(), and into the ones that follow it. It
  // must fit.
  void Write(std::span<const uint8_t> data) const;

  // Copies what is there to `data`.
  void Read(std::span<uint8_t> data) const;

  // Chains that a packet of `bytes` occupies from next() on.
  uint16_t ChainsFor(uint64_t bytes) const;

  // From next() on they hold a packet of `bytes`.
  void Fill(uint64_t bytes);

  // Shows the driver what was filled.
  void MakeVisible() { queue_.ring().Publish(); }

  // The same, and accounts for it: a notification may be due.
  void Publish(Time now);

  // Returns the next `count` with length 0.
  void Reject(size_t count, Time now);

  // The driver keeps what was not filled: it is found again later.
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
  uint32_t packets_ = 0;      // filled, not yet accounted for
  uint32_t descriptors_ = 0;  // of those
  uint64_t rejected_ = 0;
  uint64_t walk_begin_ = 0;
  uint32_t rejections_left_ = kRejectBudget;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_RX_CHAINS_H_
