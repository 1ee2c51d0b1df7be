// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_QUEUE_PAIR_H_
#define VDUSE_NET_NET_PATH_QUEUE_PAIR_H_

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "coalesce/param_table.h"
#include "net/path/io.h"
#include "net/path/notified_queue.h"
#include "net/path/rx_chains.h"
#include "net/path/rx_filter.h"
#include "net/wire/header.h"
#include "vduse/device.h"
#include "vduse/iova_map.h"
#include "vduse/virtqueue.h"

namespace net {

using coalesce::Direction;

// Tells the time.
using Clock = absl::FunctionRef<Time()>;

// Why Step() was called. All may be set without need.
struct Ready {
  bool port_readable = false;
  bool port_writable = false;
  bool port_gone = false;  // for good
  bool rx_kick = false;
  bool tx_kick = false;
  // Step() is called again at once, whatever comes: no kick is asked for.
  bool polling = false;
};

// What the next Step() is to wait for.
struct Wait {
  bool port_readable = false;
  bool port_writable = false;
  bool again = false;   // do not wait: the budget was used up, or it polls
  bool worked = false;  // there was something to do
  std::optional<Time> deadline;
};

struct QueuePairCounters {
  uint64_t tx_kicks = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_bytes = 0;
  uint64_t tx_bad_chain = 0;   // cannot be a packet
  uint64_t tx_bad_header = 0;  // asks for what was not negotiated, or nonsense
  uint64_t tx_bad_length = 0;  // no Ethernet frame, or over the MTU
  uint64_t tx_csum = 0;        // with a checksum left to the port
  uint64_t tx_gso = 0;         // to be segmented by the port
  uint64_t tx_ecn = 0;         // of those, with congestion signalled
  uint64_t tx_port_drops = 0;  // the port did not take it
  uint64_t tx_port_refused = 0;  // the kernel called the frame invalid
  uint64_t rx_kicks = 0;
  uint64_t rx_packets = 0;
  uint64_t rx_bytes = 0;
  uint64_t rx_bad_chain = 0;   // not a receive buffer
  uint64_t rx_bad_packet = 0;  // too short, or a header without sense
  uint64_t rx_refused = 0;     // with an offload that the driver refuses
  uint64_t rx_filtered = 0;    // not for the driver
  uint64_t rx_stale = 0;       // there before the driver was
  uint64_t rx_over_mtu = 0;    // larger than the driver's MTU allows
  uint64_t rx_csum = 0;        // with a checksum left to the driver
  uint64_t rx_gso = 0;         // larger than the wire would have it
  uint64_t rx_ecn = 0;         // of those, with congestion signalled
  uint64_t rx_too_large = 0;   // no room for it in the driver's buffers
  uint64_t rx_overruns = 0;    // the driver did not offer enough in time
  vduse::ChainErrors rx_chain_errors{};
  vduse::ChainErrors tx_chain_errors{};
  NotifiedQueue::Counters rx_queue;
  NotifiedQueue::Counters tx_queue;
};

// The data path of one pair of virtqueues over one port (virtio 1.3, 5.1.6).
//
//   transmit:  kick -> Pop a batch -> headers checked, replaced by ours
//              -> Write -> Push, Publish -> coalescer -> notification
//   receive:   readable -> Pop buffers for a batch -> Read into them
//              -> headers checked -> Push, Publish -> coalescer -> ...
//
// Packets are never delayed, only notifications: a batch is what is there.
// used.idx moves, in order, whenever the port has done a call: a crash loses or
// repeats at most what one call had, each way.
//
// No epoll, no threads, no clock of its own, no allocation but in Start(). One
// thread; between two steps no pointer into driver memory is held but the
// rings', which InvalidateIova() renews.
class QueuePair {
 public:
  // Packets per direction and step: the other direction has its turn then. A
  // batch that was begun before is finished.
  static constexpr uint32_t kBudget = kMaxBatch;
  // After a batch the clock is looked at if so many bytes were moved, as large
  // packets take their time: a batch of the wire's packets is less.
  static constexpr uint64_t kLookBytes = 48 << 10;
  // What a packet is expected to take with timer_poll, the port's part
  // included: it begins no more than can be moved before the next deadline.
  // Large packets take longer.
  static constexpr Time kPacketTime = std::chrono::microseconds(2);
  // But where no deadline runs it may begin that many: with a shorter delay
  // each packet would have a notification of its own, more than without
  // coalescing.
  static constexpr int64_t kFewest = 4;
  // Descriptors per direction and step, but for the last chain's: chains of
  // many empty ones, or with tables of them, are no packets and cost time.
  static constexpr uint64_t kWalkBudget = RxChains::kWalkBudget;
  // How long a packet waits for the port to take it.
  static constexpr Time kBlockedLimit = std::chrono::milliseconds(10);
  // How long a packet that needs more buffers than the driver offers waits for
  // the others. A driver may offer more only once it has been given some, as
  // Linux does. Where it offers none it does need some, and the packet waits as
  // long as that takes.
  static constexpr Time kLackLimit = std::chrono::milliseconds(50);

  // So many small packets after a large one, and none is expected any more.
  static constexpr uint32_t kSmallInARow = 8;
  // Up to that a frame is copied behind its header, which costs less than to
  // have the kernel gather the two.
  static constexpr size_t kCopyBytes = 2048;
  static constexpr size_t kSmallBytes = kHeaderBytes + kCopyBytes;

  struct Options {
    uint32_t pair = 0;  // its virtqueues are 2 * pair and 2 * pair + 1
    uint16_t mtu =
        1500;  // bounds frames both ways, if the driver negotiated it
    // Meet the deadlines of notifications to a few microseconds while small
    // packets come and go, too, for which a step does less at once.
    bool timer_poll = false;
  };

  // `device` must outlive the pair.
  QueuePair(vduse::Device& device, const Options& options);

  // Without a port the queues wait.
  void SetPort(std::unique_ptr<PacketPort> port);
  void DropPort() { port_.reset(); }

  // Starts a queue with what the driver negotiated and set up. Errors are
  // Virtqueue::Create's.
  absl::Status Start(Direction direction, const vduse::QueueInfo& info,
                     uint64_t features, vduse::Virtqueue::Start start,
                     const coalesce::Setting& coalescing, Time now);

  // Stops a queue, or both. Nothing is written to the rings and nobody is
  // notified afterwards.
  void Stop(Direction direction);
  void Stop();

  // Notifies of a queue that runs in any case: its driver may wait for what was
  // completed before.
  void Owe(Direction direction);

  // Sends the notifications that are pending or owed: before a Stop() whose
  // driver will go on.
  void Settle(Direction direction, FlushCause cause, Time now);

  // Goes over to another address space. Between steps.
  void SetAsid(uint32_t asid);

  // What the driver accepts from now on, of kGuestOffloads: all it has
  // negotiated unless it says otherwise. A packet that needs more is dropped.
  void SetGuestOffloads(uint64_t offloads);

  // Which packets the driver gets from now on; without a filter, all.
  void SetFilter(std::shared_ptr<const RxFilter> filter) {
    filter_ = std::move(filter);
  }

  // What the port has now is dropped, before anything is received: it came
  // before the driver. While more comes all the time, that is kMaxDiscard.
  static constexpr uint32_t kMaxDiscard = 512 * kMaxBatch;
  void DiscardQueued() { discard_left_ = port_usable() ? kMaxDiscard : 0; }

  // The driver has kicked so often.
  void CountKicks(Direction direction, uint64_t kicks);

  // Whether packets are received, as they are from the start. Where not, the
  // port is not read and the queue's buffers wait.
  void SetReceiving(bool receiving);

  bool running(Direction direction) const;
  void SetCoalescing(Direction direction, const coalesce::Setting& setting,
                     Time now);

  // Translations of [first, last] went.
  void InvalidateIova(uint64_t first, uint64_t last);

  // Next available index of a queue, if it runs.
  std::optional<uint16_t> Position(Direction direction) const;

  // `clock` is asked for the time at the start, and after a batch that took
  // some: see kLookBytes; with timer_poll after each while a deadline
  // runs.
  Wait Step(Ready ready, Clock clock);

  // Why a queue no longer serves its driver; empty while it does.
  std::string BrokenReason(Direction direction) const;

  // The port is gone for good (its interface was deleted). It is used no more,
  // but closed only by SetPort() or DropPort().
  bool port_lost() const { return port_lost_; }

  QueuePairCounters counters() const;

  // One that runs, or null. Valid until the next call.
  const NotifiedQueue* queue(Direction direction) const {
    if (direction == Direction::kRx) return rx_ ? &rx_->queue : nullptr;
    return tx_ ? &tx_->queue : nullptr;
  }

  // From any thread, at any time.
  const NotificationHistograms& histograms(Direction direction) const {
    return histograms_[direction == Direction::kRx ? 0 : 1];
  }

 private:
  struct Rx {
    explicit Rx(NotifiedQueue q) : queue(std::move(q)), chains(queue) {}
    NotifiedQueue queue;
    RxChains chains;
    uint64_t offloads = 0;  // that the driver accepts
    uint64_t frame_limit = 0;
    bool mergeable = false;
    bool starved = false;  // the driver offers too few buffers
    // The first packet that was put aside lacks some of the buffers it needs.
    std::optional<Time> lacking_since;
  };
  struct Tx {
    explicit Tx(NotifiedQueue q) : queue(std::move(q)) {}
    NotifiedQueue queue;
    uint64_t features = 0;
    uint64_t frame_limit = 0;
    bool pending = true;  // look at the ring without a kick
    std::optional<Time> blocked_since;
  };
  // A chain of the batch, and what is to become of it.
  struct TxPacket {
    vduse::Chain chain;
    VirtioNetHeader header = {};
    uint64_t frame_bytes = 0;
    // Why it is not sent, as what that counts as; null if it is.
    uint64_t QueuePairCounters::*refused = nullptr;
  };
  // A packet that was read and has no place in the driver's buffers yet.
  struct Staged {
    size_t slot;
    size_t bytes;
  };

  static void Add(QueuePairCounters& to, const Rx& rx);
  static void Add(QueuePairCounters& to, const Tx& tx);

  bool staged() const { return staged_begin_ < staged_end_; }
  bool port_usable() const { return port_ != nullptr && !port_lost_; }

  std::optional<Time> LackEnds() const;
  std::optional<Time> NotifyDeadline() const;
  void NotifyDue();
  void Look(Clock clock);
  size_t BatchLimit() const;
  bool RemapRings(NotifiedQueue& queue, bool remap);
  void ScheduleRemap();
  void CheckMemory();
  void Transmit(Clock clock);
  void Gather(uint64_t walk_end);
  uint64_t QueuePairCounters::*Judge(TxPacket& packet);
  void Prepare(TxPacket& packet);
  bool Send();
  void Count(const TxPacket& packet, const IoResult& result);

  void Discard();
  void Receive(Clock clock);
  size_t ReadBatch();
  std::optional<size_t> ReadToSide(size_t slots);
  std::optional<size_t> ReadIntoChains();
  void AddRead(size_t slot, uint64_t in_chains);
  bool Arrived(size_t slot, uint64_t in_chains);
  void Stage(size_t slot, size_t packet_bytes, size_t in_chains);
  size_t DeliverStaged();
  bool DriverCannotLend() const;
  bool Lack(bool whole);
  std::optional<VirtioNetHeader> Admit(std::span<const uint8_t> start,
                                       size_t packet_bytes);
  void Deliver(VirtioNetHeader header, size_t packet_bytes);
  bool CollectFor(uint64_t bytes);
  void Expect(size_t packet_bytes);
  void Starve();
  std::span<uint8_t> Spill(size_t slot) {
    return {spill_.get() + slot * kSpillBytes, kSpillBytes};
  }
  void LosePort();

  vduse::Device& device_;
  const Options options_;
  vduse::IovaMap map_;
  std::unique_ptr<PacketPort> port_;
  bool port_lost_ = false;
  bool port_has_more_ = false;
  uint32_t discard_left_ = 0;
  bool receiving_ = true;
  bool again_ = false;
  bool polling_ = false;
  bool worked_ = false;
  Time now_{};  // last looked at
  uint64_t bytes_since_look_ = 0;
  std::array<NotificationHistograms, 2> histograms_;  // rx, tx
  std::unique_ptr<Rx> rx_;
  std::unique_ptr<Tx> tx_;
  std::shared_ptr<const RxFilter> filter_;
  std::optional<Time> remap_at_;
  Time remap_delay_{};

  std::vector<iovec> iov_;  // of the batch
  std::vector<Io> ios_;     // likewise
  std::vector<TxPacket> tx_packets_;
  std::unique_ptr<uint8_t[]> tx_copies_;  // a header and a frame each

  // Where a read of the batch goes on beyond its chains, and where packets
  // wait for chains. Larger than any packet, and for the most part never
  // touched: the kernel gives it no memory until then.
  static constexpr size_t kSpillBytes = kHeaderBytes + kMaxFrameBytes + 1;
  std::unique_ptr<uint8_t[]> spill_;
  std::array<Staged, kMaxBatch> staged_;  // in order
  size_t staged_begin_ = 0;
  size_t staged_end_ = 0;
  // Packets that the next read asks for.
  size_t rx_batch_ = 1;
  // One of the MTU's size, with its header.
  const size_t usual_bytes_;
  // The next packet has hardly more than that: the largest there can be after
  // a large one; what the largest of a few small ones had after those.
  size_t expected_bytes_;
  size_t largest_small_ = 0;  // of those
  uint32_t small_in_a_row_ = 0;
  QueuePairCounters counters_;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_QUEUE_PAIR_H_
