// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_RX_CHAINS_H_
#define VDUSE_NET_NET_PATH_RX_CHAINS_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "net/path/notified_queue.h"
#include "net/path/packet_port.h"
#include "net/path/queue_path.h"
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

  // Whether a packet may take several chains (MRG_RXBUF).
  enum class Merge : uint8_t { kNever, kAllowed };

  RxChains(NotifiedQueue& queue, Merge merge) : queue_(queue), merge_(merge) {
    chains_.reserve(queue.ring().size());
  }
  RxChains(const RxChains&) = delete;
  RxChains& operator=(const RxChains&) = delete;

  // Limits on the search of one step: on descriptors walked, and on chains
  // returned without a packet. The last chain may exceed the first limit, and
  // the chains returned together with it may exceed the second.
  static constexpr uint64_t kWalkBudget = QueuePath::kWalkBudget;
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
  // many packets they suffice. A packet gets several chains if one is too small
  // and chains may be merged; else each packet gets one chain of any size. An
  // unusable chain ends the search and is left to Collect().
  [[nodiscard]] size_t CollectEach(uint64_t bytes, size_t limit);

  // Pops chains until a packet of `bytes` fits in them. False if the driver has
  // not offered enough, or if the budget is spent; even then one more chain is
  // looked at. An unusable chain is returned with length 0, and so are the
  // chains before it, because order is kept.
  [[nodiscard]] bool Collect(uint64_t bytes, Instant now);

  // Whether chains were collected and no more can be added for the next packet:
  // the ring or the segments are used up, or a packet may take one chain only.
  bool complete() const;

  // Chains that are not filled yet: their number, their writable bytes, and how
  // many of these bytes the next packet may use.
  size_t size() const { return chains_.size() - next_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t room() const {
    if (merge_ == Merge::kAllowed || size() == 0) return bytes_;
    return chains_[next_].writable_bytes();
  }
  uint64_t rejected() const { return rejected_; }

  // These begin with the first chain that is not filled yet.
  //
  // Appends the segments of all chains to `iov`.
  void AppendSegments(std::vector<iovec>& iov) const;
  // Copies `data` into the chains. The data must fit.
  void Write(std::span<const uint8_t> data) const;
  // Fills `data` with the first bytes of the chains.
  void Read(std::span<uint8_t> data) const;
  // The number of chains that a packet of `bytes` occupies.
  uint16_t ChainsFor(uint64_t bytes) const;
  // The chains hold a packet of `bytes`: pushes them.
  void Fill(uint64_t bytes);

  // Makes the filled chains visible to the driver.
  void MakeVisible() { queue_.ring().Publish(); }

  // MakeVisible(), and accounts for the packets: a notification may be due.
  void Publish(Instant now);

  // Returns the next `count` chains with length 0.
  void Reject(size_t count, Instant now);

  // Returns unfilled chains to the ring; they are popped again later.
  void GiveBack();

 private:
  [[nodiscard]] bool PopOne();
  uint64_t walked() const { return queue_.ring().walked() - walk_begin_; }

  NotifiedQueue& queue_;
  const Merge merge_;
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
