// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_QUEUE_PATH_H_
#define VDUSE_NET_NET_PATH_QUEUE_PATH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "coalesce/param_table.h"
#include "net/path/notified_queue.h"
#include "net/path/packet_port.h"
#include "net/path/pair_journal.h"
#include "net/path/step_context.h"
#include "net/wire/header.h"
#include "vduse/device.h"
#include "vduse/iova_map.h"
#include "vduse/queue_position.h"
#include "vduse/virtqueue.h"

namespace net {

using coalesce::Direction;
using vduse::QueuePosition;

// What both directions count alike, since the path was made.
struct PathCounters {
  uint64_t kicks = 0;
  uint64_t packets = 0;
  uint64_t bytes = 0;
  uint64_t bad_chain = 0;  // rx: not a receive buffer; tx: not a packet
  uint64_t csum = 0;       // the checksum is left to the receiver
  uint64_t gso = 0;        // larger than on the wire
  uint64_t ecn = 0;        // gso packets with ECN
  vduse::ChainErrors chain_errors{};
  NotifiedQueue::Counters queue;

  void CountOffloads(const VirtioNetHeader& header) {
    if ((header.flags & kHeaderNeedsCsum) != 0) ++csum;
    if (header.gso_type != kHeaderGsoNone) ++gso;
    if ((header.gso_type & kHeaderGsoEcn) != 0) ++ecn;
  }
};

// One direction of a queue pair: a virtqueue, and the path that packets take
// between it and the port. RxPath and TxPath move the packets; what both do
// alike is here.
//
// A path outlives its virtqueue, which starts and stops with the driver. One
// thread, but for histograms().
class QueuePath {
 public:
  // Packets per step, so that the other direction gets its turn. A batch that
  // has begun is finished.
  static constexpr uint32_t kBudget = kMaxBatch;
  // Descriptors per step, except for those of the last chain. Chains of
  // zero-length descriptors, in the ring or in indirect tables, cost work but
  // contain no packets.
  static constexpr uint64_t kWalkBudget = 32768;
  // Frames up to this size are copied behind their header, which costs less
  // than to have the kernel gather the two.
  static constexpr size_t kCopyBytes = 2048;
  static constexpr size_t kSmallBytes = kHeaderBytes + kCopyBytes;

  // What a pair's two paths share. It must outlive them.
  struct Shared {
    vduse::Device& device;
    vduse::IovaMap& map;
    PortSlot& port;
    StepContext& step;
    PairJournal& journal;
    uint16_t mtu;  // bounds frames both ways, if MTU was negotiated
  };

  virtual ~QueuePath() = default;
  QueuePath(const QueuePath&) = delete;
  QueuePath& operator=(const QueuePath&) = delete;

  // Starts the virtqueue with the features that the driver negotiated and the
  // rings that it set up. A ring that was in use before is continued with what
  // the journal says. Errors are those of Virtqueue::Create().
  absl::Status Start(const vduse::QueueInfo& info, uint64_t features,
                     vduse::Virtqueue::Start start,
                     const coalesce::Setting& coalescing, Instant now);

  // Stops the virtqueue, if it runs. Afterwards nothing is written to its rings
  // and no notification is sent.
  void Stop();

  // The virtqueue, or null while it does not run. Valid until Stop().
  NotifiedQueue* queue() { return queue_ ? &*queue_ : nullptr; }
  const NotifiedQueue* queue() const { return queue_ ? &*queue_ : nullptr; }
  bool running() const { return queue_.has_value(); }

  // These do nothing while the virtqueue does not run.
  //
  // Makes the next step notify the driver, even if the driver suppresses
  // notifications: it may be waiting for what was completed before.
  void Owe();
  // Sends pending and owed notifications. For use before Stop() if the driver
  // will continue.
  void Settle(FlushCause cause, Instant now);
  void SetCoalescing(const coalesce::Setting& setting, Instant now);

  // The next available index; nothing if the virtqueue does not run.
  std::optional<QueuePosition> position() const;
  // Whether the virtqueue has latched, and why; empty while it serves its
  // driver.
  bool broken() const { return queue_ && queue_->ring().broken(); }
  std::string broken_reason() const;

  void CountKicks(uint64_t kicks) { kicks_ += kicks; }

  // May be called from any thread, at any time.
  const NotificationHistograms& histograms() const { return histograms_; }

  // --- For the pair's steps ---

  // The translations of the rings are no longer valid.
  void UnmapRings();
  // Whether the rings have to be mapped again before they can be used.
  bool unmapped() const;
  // Maps the rings if they are not mapped.
  void MapRings();
  // No memory is behind a part of the rings: the virtqueue cannot be served any
  // more.
  void Break(const std::string& fault);

  // Looks at the ring in the next step, even without a kick.
  virtual void Wake() = 0;
  // The pair has another port.
  virtual void OnNewPort() = 0;
  // Takes up why the step was called.
  virtual void OnReady(const Ready& ready) = 0;
  // Moves packets, within the budget.
  virtual void Run(Clock clock) = 0;
  // Adds what the path waits for.
  virtual void AddWaits(Wait& wait) const = 0;

 protected:
  QueuePath(const Shared& shared, Direction direction, uint32_t index)
      : shared_(shared), direction_(direction), index_(index) {}

  // The virtqueue has started, or is about to stop.
  virtual void OnStart(uint64_t features) = 0;
  virtual void OnStop() = 0;
  // The virtqueue has started on a ring whose last batch is in the journal.
  virtual void Recover(Instant now) = 0;

  // Whether the virtqueue runs and its rings can be used.
  bool servable() const {
    return queue_ && queue_->ring().mapped() && !queue_->ring().broken();
  }
  vduse::Virtqueue& ring() { return queue_->ring(); }
  PortSlot& port() const { return shared_.port; }
  StepContext& step() const { return shared_.step; }
  PairJournal& journal() const { return shared_.journal; }
  uint16_t mtu() const { return shared_.mtu; }

  // Adds what is counted here and by the virtqueue.
  void AddCounters(PathCounters& to) const;

  std::optional<NotifiedQueue> queue_;

 private:
  const Shared shared_;
  const Direction direction_;
  const uint32_t index_;
  uint64_t kicks_ = 0;
  // Counted while the virtqueue ran for earlier drivers.
  NotifiedQueue::Counters stopped_queue_;
  vduse::ChainErrors stopped_errors_{};
  NotificationHistograms histograms_;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_QUEUE_PATH_H_
