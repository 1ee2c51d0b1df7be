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

// Returns the current time.
using Clock = absl::FunctionRef<Time()>;

// Why Step() was called. A port that is reported readable or writable need not
// be, and a reported kick need not have come.
struct Ready {
  bool port_readable = false;
  bool port_writable = false;
  bool port_gone = false;  // its interface was deleted
  bool rx_kick = false;
  bool tx_kick = false;
  // The worker busy-polls: it calls Step() again at once, so Step() asks for no
  // kicks.
  bool polling = false;
};

// What to wait for before the next Step().
struct Wait {
  bool port_readable = false;
  bool port_writable = false;
  bool again = false;   // do not wait: budget used up, or polling
  bool worked = false;  // the step found work
  std::optional<Time> deadline;
};

struct QueuePairCounters {
  uint64_t tx_kicks = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_bytes = 0;
  uint64_t tx_bad_chain = 0;     // cannot be a packet
  uint64_t tx_bad_header = 0;    // offload not negotiated, or nonsense
  uint64_t tx_bad_length = 0;    // no Ethernet frame, or over the MTU
  uint64_t tx_csum = 0;          // checksum left to the port
  uint64_t tx_gso = 0;           // segmentation left to the port
  uint64_t tx_ecn = 0;           // tx_gso packets with ECN
  uint64_t tx_port_drops = 0;    // the port did not take it
  uint64_t tx_port_refused = 0;  // the kernel called the frame invalid
  uint64_t rx_kicks = 0;
  uint64_t rx_packets = 0;
  uint64_t rx_bytes = 0;
  uint64_t rx_bad_chain = 0;   // not a receive buffer
  uint64_t rx_bad_packet = 0;  // bad length, or no memory behind the buffer
  uint64_t rx_refused = 0;     // bad header, or offload not accepted
  uint64_t rx_filtered = 0;    // not for the driver
  uint64_t rx_stale = 0;       // queued before the driver began
  uint64_t rx_over_mtu = 0;    // larger than the driver's MTU allows
  uint64_t rx_csum = 0;        // checksum left to the driver
  uint64_t rx_gso = 0;         // larger than on the wire
  uint64_t rx_ecn = 0;         // rx_gso packets with ECN
  uint64_t rx_too_large = 0;   // cannot fit the driver's buffers
  uint64_t rx_overruns = 0;    // too few buffers offered in time
  vduse::ChainErrors rx_chain_errors{};
  vduse::ChainErrors tx_chain_errors{};
  NotifiedQueue::Counters rx_queue;
  NotifiedQueue::Counters tx_queue;
};

// The data path of one pair of virtqueues over one port (virtio 1.3, 5.1.6).
//
//   transmit:  kick -> Pop a batch -> headers checked, replaced by ours
//              -> Write -> Push, Publish -> coalescer -> notification
//   receive:   readable -> Pop buffers for a batch -> Read into or beside them
//              -> headers checked -> Push, Publish -> coalescer -> ...
//
// Only notifications are delayed. The pair never waits for a batch to fill: a
// batch consists of the packets that are available now. used.idx moves, in
// order, after each call of the port. So a crash loses or repeats at most the
// packets of one call in each direction, and loses the received packets that
// wait for buffers (at most kMaxBatch).
//
// QueuePair has no epoll, no threads, and no clock of its own. It allocates
// only in Start(). One thread. Between two steps it holds no pointers into
// driver memory but those to the rings, which InvalidateIova() makes it renew.
//
//   queue_pair.cc     start and stop, settings, Step(), deadlines, remapping
//   queue_pair_rx.cc  the receive path
//   queue_pair_tx.cc  the transmit path
class QueuePair {
 public:
  // Packets per direction and step, so that the other direction gets its turn.
  // A batch that has begun is finished.
  static constexpr uint32_t kBudget = kMaxBatch;
  // Large packets take time, so the clock is read after a batch once this many
  // bytes have been moved. A batch of packets of an Ethernet MTU is smaller.
  static constexpr uint64_t kLookBytes = 48 << 10;
  // Expected time per packet with timer_poll, the port's part included. A batch
  // has no more packets than can be moved before the next deadline. Large
  // packets take longer.
  static constexpr Time kPacketTime = std::chrono::microseconds(2);
  // The lowest limit on the size of a batch while no deadline runs. Without
  // it, a delay shorter than the time of a few packets would make batches of
  // one packet, each with a notification: more than without coalescing.
  static constexpr int64_t kFewest = 4;
  // Descriptors per direction and step, except for those of the last chain.
  // Chains of zero-length descriptors, in the ring or in indirect tables, cost
  // work but contain no packets.
  static constexpr uint64_t kWalkBudget = RxChains::kWalkBudget;
  // How long a packet waits for the port to accept it.
  static constexpr Time kBlockedLimit = std::chrono::milliseconds(10);
  // How long a packet waits while the driver offers some of the buffers it
  // needs, but not all. Some drivers, Linux among them, offer more only after
  // they have been given some. While the driver offers no buffer at all, the
  // packet waits without limit, because the driver then needs buffers, too.
  static constexpr Time kLackLimit = std::chrono::milliseconds(50);

  // After this many small packets in a row, no large packet is expected any
  // more.
  static constexpr uint32_t kSmallInARow = 8;
  // Frames up to this size are copied behind their header, which costs less
  // than to have the kernel gather the two.
  static constexpr size_t kCopyBytes = 2048;
  static constexpr size_t kSmallBytes = kHeaderBytes + kCopyBytes;

  struct Options {
    uint32_t pair = 0;    // virtqueues 2 * pair and 2 * pair + 1
    uint16_t mtu = 1500;  // bounds frames both ways, if MTU was negotiated
    // Meet notification deadlines to within a few microseconds even while small
    // packets are moved; a step then does less at once.
    bool timer_poll = false;
  };

  // `device` must outlive the pair.
  QueuePair(vduse::Device& device, const Options& options);

  // The queues wait while there is no port.
  void SetPort(std::unique_ptr<PacketPort> port);
  void DropPort() { port_.reset(); }

  // Starts a queue with the features that the driver negotiated and the rings
  // that it set up. Errors are those of Virtqueue::Create().
  absl::Status Start(Direction direction, const vduse::QueueInfo& info,
                     uint64_t features, vduse::Virtqueue::Start start,
                     const coalesce::Setting& coalescing, Time now);

  // Stop one queue, or both. Afterwards nothing is written to the rings and no
  // notification is sent.
  void Stop(Direction direction);
  void Stop();

  // Makes the next Step() notify the driver of a running queue, even if the
  // driver suppresses notifications: it may be waiting for what was completed
  // before.
  void Owe(Direction direction);

  // Sends pending and owed notifications. For use before Stop() if the driver
  // will continue.
  void Settle(Direction direction, FlushCause cause, Time now);

  // Switches to another address space. Between steps.
  void SetAsid(uint32_t asid);

  // Sets which offloads of kGuestOffloads the driver accepts from now on.
  // Initially these are the negotiated ones. A packet that needs another
  // offload is dropped.
  void SetGuestOffloads(uint64_t offloads);

  // Sets the filter for received packets. Without a filter the driver gets all
  // packets.
  void SetFilter(std::shared_ptr<const RxFilter> filter) {
    filter_ = std::move(filter);
  }

  // Drops what is queued in the port before anything is received, because it
  // arrived before the driver began. While packets keep arriving, at most
  // kMaxDiscard are dropped.
  static constexpr uint32_t kMaxDiscard = 512 * kMaxBatch;
  void DiscardQueued() { discard_left_ = port_usable() ? kMaxDiscard : 0; }

  // Counts `kicks` kicks by the driver.
  void CountKicks(Direction direction, uint64_t kicks);

  // Enables or disables receiving, which is enabled initially. While it is
  // disabled, the port is not read and the driver's buffers stay in the ring.
  void SetReceiving(bool receiving);

  bool running(Direction direction) const;
  void SetCoalescing(Direction direction, const coalesce::Setting& setting,
                     Time now);

  // The translations of [first, last] are no longer valid.
  void InvalidateIova(uint64_t first, uint64_t last);

  // The next available index of a queue; nothing if it does not run.
  std::optional<uint16_t> Position(Direction direction) const;

  // Runs one step. Reads `clock` at the start and after each batch that took
  // some time (see kLookBytes); with timer_poll, after each batch while a
  // deadline runs.
  Wait Step(Ready ready, Clock clock);

  // Why a queue has latched; empty while it serves its driver.
  std::string BrokenReason(Direction direction) const;

  // Whether the port is gone for good (its interface was deleted). A lost port
  // is not used, and is closed only by SetPort() or DropPort().
  bool port_lost() const { return port_lost_; }

  QueuePairCounters counters() const;

  // A running queue, or null. Valid until the next call.
  const NotifiedQueue* queue(Direction direction) const {
    if (direction == Direction::kRx) return rx_ ? &rx_->queue : nullptr;
    return tx_ ? &tx_->queue : nullptr;
  }

  // May be called from any thread, at any time.
  const NotificationHistograms& histograms(Direction direction) const {
    return histograms_[direction == Direction::kRx ? 0 : 1];
  }

 private:
  struct Rx {
    explicit Rx(NotifiedQueue q) : queue(std::move(q)), chains(queue) {}
    NotifiedQueue queue;
    RxChains chains;
    uint64_t offloads = 0;  // accepted by the driver
    uint64_t frame_limit = 0;
    bool mergeable = false;
    bool starved = false;  // the driver offers too few buffers
    // Since when the first staged packet has had some, but not all, of the
    // buffers it needs.
    std::optional<Time> lacking_since;
  };
  struct Tx {
    explicit Tx(NotifiedQueue q) : queue(std::move(q)) {}
    NotifiedQueue queue;
    uint64_t features = 0;
    uint64_t frame_limit = 0;
    bool pending = true;  // look at the ring even without a kick
    std::optional<Time> blocked_since;
  };
  // A chain of the batch, and what to do with it.
  struct TxPacket {
    vduse::Chain chain;
    VirtioNetHeader header = {};
    uint64_t frame_bytes = 0;
    // The counter for the reason why the packet is not sent; null if it is
    // sent.
    uint64_t QueuePairCounters::*refused = nullptr;
  };
  // A packet that was read but has no place in the driver's buffers yet.
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
  Time now_{};  // the clock when last read
  uint64_t bytes_since_look_ = 0;
  std::array<NotificationHistograms, 2> histograms_;  // rx, tx
  std::unique_ptr<Rx> rx_;
  std::unique_ptr<Tx> tx_;
  std::shared_ptr<const RxFilter> filter_;
  std::optional<Time> remap_at_;
  Time remap_delay_{};

  std::vector<iovec> iov_;  // segments of the batch
  std::vector<Io> ios_;     // packets of the batch
  std::vector<TxPacket> tx_packets_;
  // kMaxBatch slots of a header and a frame.
  std::unique_ptr<uint8_t[]> tx_copies_;

  // A slot per packet of the batch, for the part of a read that exceeds its
  // chains, and for packets that wait for chains. Each slot is larger than any
  // packet. Most pages are never touched, so the kernel does not allocate them.
  static constexpr size_t kSpillBytes = kHeaderBytes + kMaxFrameBytes + 1;
  std::unique_ptr<uint8_t[]> spill_;
  std::array<Staged, kMaxBatch> staged_;  // in order of arrival
  size_t staged_begin_ = 0;
  size_t staged_end_ = 0;
  // The number of packets that the next read asks for.
  size_t rx_batch_ = 1;
  // The size of a packet of the MTU, with its header.
  const size_t usual_bytes_;
  // The expected size of the next packet, with its header. After a packet of
  // more than kSmallBytes it is usual_bytes_, or the largest size of all if the
  // packet was larger than usual_bytes_. After kSmallInARow smaller packets in
  // a row it is the size of the largest of these.
  size_t expected_bytes_;
  size_t largest_small_ = 0;  // the largest of small_in_a_row_ packets
  uint32_t small_in_a_row_ = 0;
  QueuePairCounters counters_;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_QUEUE_PAIR_H_
