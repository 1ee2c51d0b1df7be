// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_RX_PATH_H_
#define VDUSE_NET_NET_PATH_RX_PATH_H_

#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "net/path/packet_port.h"
#include "net/path/queue_path.h"
#include "net/path/rx_chains.h"
#include "net/path/rx_filter.h"
#include "net/path/rx_staging.h"
#include "net/path/size_forecast.h"
#include "net/wire/header.h"

namespace net {

struct RxCounters : PathCounters {
  uint64_t bad_packet = 0;  // bad length, or lost by a read that failed
  uint64_t refused = 0;     // bad header, or offload not accepted
  uint64_t filtered = 0;    // not for the driver
  uint64_t stale = 0;       // came for an earlier driver, or for none
  uint64_t over_mtu = 0;    // larger than the driver's MTU allows
  uint64_t too_large = 0;   // cannot fit the driver's buffers
  uint64_t overruns = 0;    // too few buffers offered in time
};

// The receive path (virtio 1.3, 5.1.6.3):
//
//   readable -> Pop buffers for a batch -> Read into or beside them
//            -> headers checked -> Push, Publish -> coalescer -> notification
//
// See QueuePath.
class RxPath final : public QueuePath {
 public:
  // How long a packet waits while the driver offers some of the buffers it
  // needs, but not all. Some drivers, Linux among them, offer more only after
  // they have been given some. While the driver offers no buffer at all, the
  // packet waits without limit, because the driver then needs buffers, too.
  static constexpr Duration kLackLimit = std::chrono::milliseconds(50);

  // Whether a read of so many bytes has brought a whole packet.
  static bool IsPacketLength(size_t bytes) {
    return bytes >= kHeaderBytes + kEthernetHeaderBytes &&
           bytes < RxStaging::kSlotBytes;
  }

  // `index` is the virtqueue's.
  RxPath(const Shared& shared, uint32_t index);

  // Sets which offloads of kGuestOffloads the driver accepts from now on.
  // Initially these are the negotiated ones. A packet that needs another
  // offload is dropped.
  void SetGuestOffloads(uint64_t offloads) { offloads_ = offloads; }

  // Sets the filter for received packets. Without a filter the driver gets all
  // packets.
  void SetFilter(std::shared_ptr<const RxFilter> filter) {
    filter_ = std::move(filter);
  }

  // Drops what is queued in the port before anything is received, because it
  // arrived before the driver began. While packets keep arriving, at most
  // kMaxDiscard are dropped.
  static constexpr uint32_t kMaxDiscard = 512 * kMaxBatch;
  void DiscardQueued() { discard_left_ = port().usable() ? kMaxDiscard : 0; }

  // Enables or disables receiving, which is enabled initially. While it is
  // disabled, the port is not read and the driver's buffers stay in the ring.
  void SetReceiving(bool receiving);

  RxCounters counters() const;

  // QueuePath
  void Wake() override { starved_ = false; }
  void OnNewPort() override {
    discard_left_ = 0;
    port_has_more_ = true;
  }
  void OnReady(const Ready& ready) override;
  void Run(Clock clock) override;
  void AddWaits(Wait& wait) const override;

 private:
  void OnStart(uint64_t features) override;
  void OnStop() override;
  void Recover(Instant now) override;

  void DropStaged();
  std::optional<Instant> LackEnds() const;

  void Discard();
  void Receive(Clock clock);
  size_t ReadBatch();
  std::optional<size_t> ReadToSide(size_t slots);
  std::optional<size_t> ReadIntoChains();
  void BeginBatch(uint64_t in_chains);
  void AddRead(size_t slot, uint64_t in_chains);
  void NoteResults(std::span<const Io> packets);
  void NoteProgress(size_t gone);
  bool ReadBack(size_t bytes, Instant now);
  bool Arrived(size_t slot, uint64_t in_chains);
  bool ReadFailed(int error, uint64_t in_chains);
  void Stage(size_t slot, size_t packet_bytes, size_t in_chains);
  size_t DeliverStaged();
  bool WaitsForBuffers(bool searched_with_whole_budget);
  std::optional<VirtioNetHeader> Admit(std::span<const uint8_t> start,
                                       size_t packet_bytes);
  void Deliver(VirtioNetHeader header, size_t packet_bytes);
  void Starve();

  // The driver's buffers; exists while the virtqueue runs.
  std::optional<RxChains> chains_;
  uint64_t offloads_ = 0;  // accepted by the driver
  uint64_t frame_limit_ = 0;
  bool starved_ = false;  // the driver offers too few buffers
  // Since when the packet that has waited longest has had some, but not all, of
  // the buffers it needs.
  std::optional<Instant> lacking_since_;
  std::shared_ptr<const RxFilter> filter_;

  bool receiving_ = true;
  bool port_has_more_ = false;
  uint32_t discard_left_ = 0;

  // Its slots take the part of a read that exceeds its chains, and the packets
  // that wait for chains.
  RxStaging staging_;
  std::vector<iovec> iov_;  // segments of the batch
  std::vector<Io> ios_;     // packets of the batch
  uint64_t tag_ = 0;        // of the first of them
  size_t batch_ = 1;        // packets that the next read asks for
  SizeForecast forecast_;   // of packets with their headers
  // Of the batch that was read last: its packets that are done with are those
  // of the slots before this one; and no part of a packet is in chains any
  // more. As the journal says.
  size_t gone_ = 0;
  bool whole_ = false;
  RxCounters counters_;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_RX_PATH_H_
