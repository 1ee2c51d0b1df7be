// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_VIRTQUEUE_H_
#define VDUSE_NET_VDUSE_VIRTQUEUE_H_

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vduse/chain.h"
#include "vduse/device.h"
#include "vduse/iova_map.h"
#include "vduse/queue_position.h"
#include "vduse/ring_layout.h"

namespace vduse {

// The device's side of one split virtqueue (virtio 1.3, section 2.7).
//
// Mechanics only: a Virtqueue takes chains, returns them in the order in which
// they were made available, and says whether the driver wants a notification.
// It neither notifies nor decides when to.
//
// The memory is the driver's and may change at any moment. Every field is
// loaded once. The device's own indices are kept here and never read back,
// except for the used index when a queue resumes a ring that was in use.
//
//   available:   used_next_ .......... last_avail_ ........ avail.idx
//                |  popped, owed       |  offered, not taken |
//
// Invariants: used_next_ <= last_avail_ <= avail.idx <= used_next_ + size,
// all modulo 2^16.
//
// One thread, the one that owns the IovaMap.
class Virtqueue {
 public:
  // IOV_MAX, the most segments that one readv(2) or writev(2) takes, minus two
  // that the caller adds: a header and a spill buffer.
  static constexpr uint32_t kMaxSegments = 1024 - 2;

  enum class Start {
    kFresh,      // the driver has just set the queue up
    kRecovered,  // the ring was in use before: resume at used.idx
  };

  struct Features {
    bool event_idx = false;
    bool indirect = false;
  };

  // Checks the driver's configuration and maps the rings.
  //   InvalidArgument: the queue can never run like this.
  //   Unavailable: the rings are not mapped at present.
  //   FailedPrecondition: the rings are in memory that must not be mapped.
  static absl::StatusOr<Virtqueue> Create(const QueueInfo& info,
                                          Features features, Start start,
                                          IovaMap& map);

  uint32_t size() const { return size_; }

  // Takes the next chain. Returns false if the ring is empty, broken or not
  // mapped, or if the chain will fit only once outstanding chains are returned.
  // A malformed chain is taken like any other: see Chain::malformed().
  [[nodiscard]] bool Pop(Chain& chain);
  [[nodiscard]] std::optional<Chain> Pop() {
    Chain chain;
    if (!Pop(chain)) return std::nullopt;
    return chain;
  }

  // Whether the last Pop returned nothing because a chain did not fit beside
  // the outstanding ones.
  bool out_of_segments() const { return out_of_segments_; }

  // Puts back a chain. Of all chains that are neither pushed nor put back, it
  // must be the one that was popped last. The next Pop returns it again.
  void Unpop(Chain chain);

  // Fills the next used entry: `written` bytes of the writable part hold data.
  // Push the oldest chain first. The driver sees nothing before Publish().
  void Push(Chain&& chain, uint64_t written);

  // Makes the pushed entries visible to the driver and returns their number.
  uint32_t Publish();

  // Whether the driver wants a notification for the entries published since the
  // last call (2.7.7, 2.7.10). Call once per flush: each call moves the
  // position from which EVENT_IDX counts.
  [[nodiscard]] bool NotificationWanted();

  // Asks the driver for kicks. Returns true if chains are available already:
  // then pop again, as the driver may not have kicked for them.
  [[nodiscard]] bool EnableKicks();

  // Tells the driver that kicks are not needed (best effort, 2.7.10).
  void DisableKicks();

  // The used index as the driver sees it, and as it will see it once what was
  // pushed is published.
  uint16_t published_index() const { return published_; }
  uint16_t pushed_index() const { return used_next_; }

  // The next available entry to take.
  QueuePosition position() const { return {.avail_index = last_avail_}; }

  // Latched when the ring itself is invalid; Pop then returns nothing any more.
  // The reason describes what was found, and is empty while the ring is valid.
  bool broken() const { return !broken_.empty(); }
  const std::string& broken_reason() const { return broken_; }
  void Break(std::string reason);

  // Makes a Linux driver that waits for this queue give up, by a used entry
  // whose id is beyond the ring. Call once, for a broken control queue:
  // otherwise the driver would wait for ever.
  void PushUnusableEntry();

  // The mappings are gone (IovaMap::Drop): call MapRings() before continuing.
  // No chain may be outstanding.
  void UnmapRings();
  bool mapped() const { return desc_ != nullptr; }
  [[nodiscard]] bool MapRings();

  // The number of descriptors that Pop() has looked at, including those in
  // indirect tables. It measures the work of Pop(), and so includes descriptors
  // of length 0. One chain adds at most L + 1. L is the length of the longest
  // chain that is accepted: size() descriptors, or the maximum of an indirect
  // table if that is more.
  uint64_t walked() const { return walked_; }

  // The malformed chains that were pushed, by error.
  const ChainErrors& chain_errors() const { return chain_errors_; }

 private:
  Virtqueue(const QueueInfo& info, Features features, IovaMap& map);

  struct Parsed;
  bool RefreshAvailable();
  ChainError Parse(uint16_t head, Parsed& parsed);
  ChainError ParseIndirect(const Desc& table, Parsed& parsed);
  ChainError AddSegment(const Desc& desc, Parsed& parsed);
  Desc LoadDesc(uint16_t index) const;
  uint16_t LoadAvail(size_t word) const;
  void StoreUsedElem(uint16_t index, UsedElem elem);
  uint16_t UsedWord(size_t word) const;
  size_t UsedEventWord() const { return kAvailRing + size_; }
  size_t AvailEventWord() const {
    return (kUsedRingOffset + sizeof(UsedElem) * size_) / sizeof(uint16_t);
  }

  IovaMap* map_;
  uint32_t size_;
  Features features_;
  uint64_t desc_addr_;
  uint64_t avail_addr_;
  uint64_t used_addr_;

  uint8_t* desc_ = nullptr;
  uint16_t* avail_ = nullptr;
  uint16_t* used_ = nullptr;

  uint16_t last_avail_ = 0;  // next available entry to take
  uint16_t avail_seen_ = 0;  // avail.idx when last loaded
  uint16_t used_next_ = 0;   // next used entry to fill
  uint16_t published_ = 0;   // used.idx as the driver sees it
  uint16_t signalled_ = 0;   // published_ at the last NotificationWanted()
  bool signalled_known_ = false;
  std::string broken_;

  std::vector<iovec> segments_;  // of the outstanding chains
  uint32_t segments_used_ = 0;
  uint32_t outstanding_ = 0;
  bool out_of_segments_ = false;
  uint64_t walked_ = 0;
  std::vector<Desc> indirect_;  // local copy of one table
  ChainErrors chain_errors_{};
};

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_VIRTQUEUE_H_
