// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_BENCH_PAIR_LANE_H_
#define VDUSE_NET_TESTS_BENCH_PAIR_LANE_H_

#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "net/path/queue_pair.h"
#include "net/wire/features.h"
#include "net/wire/header.h"
#include "tests/bench/bench_driver.h"
#include "tests/bench/bench_tap.h"
#include "tests/bench/lane.h"
#include "tests/tools/flags.h"

namespace bench {

inline constexpr uint16_t kMtu = 1500;
inline constexpr uint64_t kFeatures =
    net::kOfferedFeatures & ~net::Bit(net::kFeatureCtrlVq);

inline uint32_t RxBufferBytes(const LaneOptions& options) {
  if (options.rx_buffer_bytes > 0) return options.rx_buffer_bytes;
  const bool large = options.shape.frame_bytes > kMtu + net::kFrameOverhead;
  return large ? 68 << 10 : 2048;
}

inline uint64_t MemoryBytes(const LaneOptions& options) {
  const uint64_t packet = net::kHeaderBytes + options.shape.frame_bytes;
  return options.queue_size * (RxBufferBytes(options) + packet) + (2 << 20);
}

// A queue pair over a port, and the driver of its virtqueues.
class PairLane final : public Lane {
 public:
  PairLane(std::unique_ptr<net::PacketPort> port, const LaneOptions& options)
      : shape_(options.shape),
        device_(2, MemoryBytes(options)),
        rx_(device_, {.size = options.queue_size,
                      .buffer_bytes = RxBufferBytes(options),
                      .writable = true}),
        tx_(device_, {.size = options.queue_size,
                      .buffer_bytes = static_cast<uint32_t>(
                          net::kHeaderBytes + shape_.frame_bytes)}),
        pair_(device_, {.mtu = kMtu}) {
    const auto packet = MakePacket(shape_.frame_bytes, 9);
    for (uint32_t i = 0; i < options.queue_size; ++i) {
      std::memcpy(tx_.buffer(i), packet.data(), packet.size());
    }
    pair_.SetPort(std::move(port));
    if (shape_.rx()) StartQueue(net::Direction::kRx, rx_);
    if (shape_.tx()) StartQueue(net::Direction::kTx, tx_);
  }

  // What went wrong would have been faster than what is measured.
  ~PairLane() override {
    Drive();
    const net::QueuePairCounters c = pair_.counters();
    if (c.tx.packets != c.tx.queue.packets ||
        c.rx.packets != c.rx.queue.packets || c.rx.refused != 0 ||
        c.rx.too_large != 0 || c.rx.bad_packet != 0) {
      tools::Die("the device dropped packets: {} of {} tx, {} of {} rx",
                 c.tx.queue.packets - c.tx.packets, c.tx.queue.packets,
                 c.rx.queue.packets - c.rx.packets, c.rx.queue.packets);
    }
    const uint64_t per_packet = net::kHeaderBytes + shape_.frame_bytes;
    if (rx_.bytes() != c.rx.packets * per_packet) {
      tools::Die("the driver got {} bytes in {} packets", rx_.bytes(),
                 c.rx.packets);
    }
  }

  Traffic Burst() override {
    pair_.Step({.port_readable = shape_.rx(),
                .rx_kick = shape_.rx(),
                .tx_kick = shape_.tx()},
               Now);
    const net::QueuePairCounters c = pair_.counters();
    const Traffic traffic = {.written = c.tx.packets - before_.written,
                             .read = c.rx.packets - before_.read};
    before_ = {.written = c.tx.packets, .read = c.rx.packets};
    return traffic;
  }

  void Drive() override {
    if (shape_.rx()) rx_.Turn();
    if (shape_.tx()) tx_.Turn();
  }

 private:
  void StartQueue(net::Direction direction, const BenchQueue& queue) {
    const absl::Status status = pair_.path(direction).Start(
        queue.info(), kFeatures, vduse::Virtqueue::Start::kFresh, {}, Now());
    if (!status.ok()) tools::Die("queue: {}", std::string(status.message()));
  }

  const Shape shape_;
  BenchDevice device_;
  BenchQueue rx_;
  BenchQueue tx_;
  net::QueuePair pair_;
  Traffic before_;
};

}  // namespace bench

#endif  // VDUSE_NET_TESTS_BENCH_PAIR_LANE_H_
