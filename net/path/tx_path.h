// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_TX_PATH_H_
#define VDUSE_NET_NET_PATH_TX_PATH_H_

#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "net/path/packet_port.h"
#include "net/path/queue_path.h"
#include "net/wire/header.h"
#include "vduse/chain.h"

namespace net {

struct TxCounters : PathCounters {
  uint64_t bad_header = 0;    // offload not negotiated, or nonsense
  uint64_t bad_length = 0;    // no Ethernet frame, or over the MTU
  uint64_t port_drops = 0;    // the port did not take it
  uint64_t port_refused = 0;  // the kernel called the frame invalid
};

// The transmit path (virtio 1.3, 5.1.6.2):
//
//   kick -> Pop a batch -> headers checked, replaced by ours
//        -> Write -> Push, Publish -> coalescer -> notification
//
// See QueuePath.
class TxPath final : public QueuePath {
 public:
  // How long a packet waits for the port to accept it.
  static constexpr Duration kBlockedLimit = std::chrono::milliseconds(10);

  // `index` is the virtqueue's.
  TxPath(const Shared& shared, uint32_t index);

  TxCounters counters() const;

  // QueuePath
  void Wake() override { pending_ = true; }
  void OnNewPort() override { pending_ = true; }
  void OnReady(const Ready& ready) override;
  void Run(Clock clock) override;
  void AddWaits(Wait& wait) const override;

 private:
  // A chain of the batch, and what to do with it.
  struct Packet {
    vduse::Chain chain;
    VirtioNetHeader header = {};
    uint64_t frame_bytes = 0;
    // The counter for the reason why the packet is not sent; null if it is
    // sent.
    uint64_t TxCounters::*refused = nullptr;
  };

  void OnStart(uint64_t features) override;
  void OnStop() override {}
  void Recover(Instant now) override;

  bool BlockedForTooLong() const;
  void Transmit(Clock clock);
  void Gather(uint64_t walk_end);
  uint64_t TxCounters::*Check(Packet& packet) const;
  void Prepare(Packet& packet, uint64_t tag);
  bool Send();
  void WritePart(size_t first, size_t end);
  void Count(const Packet& packet, const IoResult& result);

  uint64_t features_ = 0;  // of the driver
  uint64_t frame_limit_ = 0;
  bool pending_ = true;  // look at the ring even without a kick
  std::optional<Instant> blocked_since_;

  std::vector<Packet> packets_;  // the batch
  std::vector<iovec> iov_;       // its segments
  std::vector<Io> ios_;          // its packets that are sent
  // kMaxBatch slots of a header and a frame.
  std::unique_ptr<uint8_t[]> copies_;
  TxCounters counters_;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_TX_PATH_H_
