// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_QUEUE_PAIR_H_
#define VDUSE_NET_NET_PATH_QUEUE_PAIR_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "net/path/packet_port.h"
#include "net/path/pair_journal.h"
#include "net/path/queue_path.h"
#include "net/path/rx_path.h"
#include "net/path/step_context.h"
#include "net/path/tx_path.h"
#include "vduse/device.h"
#include "vduse/iova_map.h"

namespace net {

struct QueuePairCounters {
  RxCounters rx;
  TxCounters tx;
};

// The data path of one pair of virtqueues over one port (virtio 1.3, 5.1.6).
// The pair schedules; its two paths move the packets.
//
// Only notifications are delayed. The pair never waits for a batch to fill: a
// batch consists of the packets that are available now. used.idx moves, in
// order, after each call of the port. With a journal that a successor reads, a
// crash loses and repeats nothing (see PairJournal); without one it loses or
// repeats at most the packets of one call in each direction, and loses the
// received packets that wait for buffers (at most kMaxBatch).
//
// QueuePair has no epoll, no threads, and no clock of its own. It allocates
// only when a virtqueue starts. One thread. Between two steps it holds no
// pointers into driver memory but those to the rings, which InvalidateIova()
// makes it renew.
class QueuePair {
 public:
  struct Options {
    uint32_t pair = 0;    // virtqueues 2 * pair and 2 * pair + 1
    uint16_t mtu = 1500;  // bounds frames both ways, if MTU was negotiated
    // Meet notification deadlines to within a few microseconds even while small
    // packets are moved; a step then does less at once.
    bool timer_poll = false;
    // The memory of a PairJournal; without it, a crash may lose packets.
    std::span<uint8_t> journal = {};
  };

  // `device` must outlive the pair.
  QueuePair(vduse::Device& device, const Options& options);

  // The queues wait while there is no port.
  void SetPort(std::unique_ptr<PacketPort> port);
  void DropPort() { port_.Drop(); }

  // Whether the port is gone for good (its interface was deleted). A lost port
  // is not used, and is closed only by SetPort() or DropPort().
  bool port_lost() const { return port_.lost(); }

  RxPath& rx() { return rx_; }
  TxPath& tx() { return tx_; }
  QueuePath& path(Direction direction) {
    return *paths_[static_cast<size_t>(direction)];
  }
  const QueuePath& path(Direction direction) const {
    return *paths_[static_cast<size_t>(direction)];
  }

  PairJournal& journal() { return journal_; }

  // Stops both virtqueues. Their driver is gone, unless journal().Leave() was
  // called.
  void Stop();

  // Switches to another address space. Between steps.
  void SetAsid(uint32_t asid);

  // The translations of [first, last] are no longer valid.
  void InvalidateIova(uint64_t first, uint64_t last);

  // Runs one step. Reads `clock` at the start and after each batch that took
  // some time (see StepContext::kLookBytes); with timer_poll, after each batch
  // while a deadline runs.
  Wait Step(Ready ready, Clock clock);

  QueuePairCounters counters() const {
    return {.rx = rx_.counters(), .tx = tx_.counters()};
  }

 private:
  void UnmapRings();
  void MapRings();
  void CheckMemory();

  vduse::IovaMap map_;
  PairJournal journal_;
  PortSlot port_;
  StepContext step_;
  RxPath rx_;
  TxPath tx_;
  const std::array<QueuePath*, 2> paths_{&rx_, &tx_};  // by direction

  // When to try next to map rings that are not mapped.
  std::optional<Instant> map_at_;
  Duration map_delay_{};
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_QUEUE_PAIR_H_
