// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_NET_PATH_QUEUE_PAIR_FIXTURE_H_
#define VDUSE_NET_TESTS_NET_PATH_QUEUE_PAIR_FIXTURE_H_

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/path/queue_pair.h"
#include "net/wire/features.h"
#include "tests/support/fake_device.h"
#include "tests/support/fake_driver.h"
#include "tests/support/instant.h"
#include "tests/support/script_port.h"

namespace net {

using Bytes = std::vector<uint8_t>;
using vduse::Virtqueue;

// The ways a driver may run its rings, and how many packets the port takes at
// once; every test runs in each.
struct PairKind {
  uint16_t base;
  bool event_idx;
  size_t at_once = 1;
};

// A frame of `bytes` that `seed` tells from others.
inline Bytes Frame(size_t bytes, uint8_t seed = 1) {
  Bytes frame(bytes);
  for (size_t i = 0; i < bytes; ++i) {
    frame[i] = static_cast<uint8_t>(seed + i * 7 + i / 256);
  }
  return frame;
}

inline Bytes Cat(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Bytes HeaderBytes(const VirtioNetHeader& header) {
  Bytes bytes(kHeaderBytes);
  std::memcpy(bytes.data(), &header, kHeaderBytes);
  return bytes;
}

// A packet as the driver or the TAP hands it over.
inline Bytes Packet(const Bytes& frame, const VirtioNetHeader& header = {}) {
  return Cat(HeaderBytes(header), frame);
}

// Of a packet that the other side is to segment.
inline constexpr VirtioNetHeader kTcp4 = {.flags = kHeaderNeedsCsum,
                                          .gso_type = kHeaderGsoTcpV4,
                                          .hdr_len = 54,
                                          .gso_size = 1448,
                                          .csum_start = 34,
                                          .csum_offset = 16};

// One queue pair between a driver on real rings and a scripted port. Time
// passes when a test says so.
class QueuePairTest : public testing::TestWithParam<PairKind> {
 protected:
  static constexpr uint32_t kSize = 16;
  static constexpr uint16_t kMtu = 1500;
  static constexpr coalesce::Params kOff{};

  explicit QueuePairTest(uint32_t size = kSize)
      : rx(device, memory, QueueOptions(0, size)),
        tx(device, memory, QueueOptions(1, size)) {
    features = Bit(kFeatureVersion1) | Bit(kFeatureAccessPlatform) |
               Bit(kFeatureIndirectDesc) | Bit(kFeatureMrgRxbuf);
    if (GetParam().event_idx) features |= Bit(kFeatureEventIdx);
    port.at_once = GetParam().at_once;
    pair.SetPort(std::make_unique<tests::ScriptPort>(port));
  }

  static tests::DriverQueue::Options QueueOptions(uint32_t index,
                                                  uint32_t size) {
    return {.index = index,
            .size = size,
            .base = GetParam().base,
            .event_idx = GetParam().event_idx};
  }

  // The driver's DRIVER_OK is in force from now on.
  static void ForceDriverOk(tests::FakeDevice& device) {
    device.SendStatus(0xf);
    const auto request = device.ReadRequest();
    ASSERT_TRUE(request.ok() && request->has_value());
    vduse_dev_response response = {};
    response.request_id = (*request)->request_id;
    ASSERT_TRUE(device.Reply(response).ok());
  }
  void ForceDriverOk() { ForceDriverOk(device); }

  // Starts a queue of `its_pair` for the driver of `queue`.
  void StartQueue(QueuePair& its_pair, Direction direction,
                  const tests::DriverQueue& queue,
                  coalesce::Params params = kOff,
                  Virtqueue::Start start = Virtqueue::Start::kFresh) {
    const absl::Status status = its_pair.path(direction).Start(
        queue.info(), features, start, params, now);
    ASSERT_TRUE(status.ok()) << status;
  }
  void StartQueue(Direction direction, coalesce::Params params = kOff,
                  Virtqueue::Start start = Virtqueue::Start::kFresh) {
    StartQueue(pair, direction, direction == Direction::kRx ? rx : tx, params,
               start);
  }

  void Start(coalesce::Params params = kOff) {
    ForceDriverOk();
    StartQueue(Direction::kRx, params);
    StartQueue(Direction::kTx, params);
  }

  // Both queues begin anew, for a driver with `more` features.
  void RestartWith(uint64_t more) {
    pair.Stop();
    rx.Restart(GetParam().base);
    tx.Restart(GetParam().base);
    features |= more;
    StartQueue(Direction::kRx);
    StartQueue(Direction::kTx);
  }

  // Steps until the pair wants to wait; fails if it never does.
  Wait Step(Ready ready = {.port_readable = true,
                           .port_writable = true,
                           .rx_kick = true,
                           .tx_kick = true}) {
    Wait wait = pair.Step(ready, clock);
    for (int i = 0; wait.again && i < 1000; ++i) wait = pair.Step({}, clock);
    EXPECT_FALSE(wait.again) << "never comes to rest";
    return wait;
  }

  void OfferTx(const Bytes& packet) { tx.Chain().Readable(packet).Offer(); }
  void OfferRx(uint32_t bytes = 2048) { rx.Chain().Writable(bytes).Offer(); }

  // The driver awaits the very next used entry of both queues.
  void AwaitNext() {
    rx.SetUsedEvent(rx.used_idx());
    tx.SetUsedEvent(tx.used_idx());
  }

  // One packet goes out, whatever happened before.
  void ExpectTransmits() {
    const size_t before = port.written.size();
    const Bytes frame = Frame(60, static_cast<uint8_t>(before));
    OfferTx(Packet(frame));
    Step();
    ASSERT_EQ(port.written.size(), before + 1);
    EXPECT_EQ(port.written.back(), Packet(frame));
    ASSERT_TRUE(tx.TakeUsed());
  }

  // One packet comes in, in one buffer.
  void ExpectReceives() {
    const Bytes frame = Frame(60, 77);
    OfferRx();
    port.Receive(Packet(frame));
    Step();
    const std::optional<tests::UsedEntry> used = rx.TakeUsed();
    ASSERT_TRUE(used);
    EXPECT_EQ(used->bytes, Packet(frame, {.num_buffers = 1}));
  }

  uint64_t rx_injects() { return device.injects(0); }
  uint64_t tx_injects() { return device.injects(1); }

  tests::FakeDevice device{2};
  tests::DriverMemory memory{device};
  tests::DriverQueue rx;
  tests::DriverQueue tx;
  tests::PortScript port;
  uint64_t features = 0;
  QueuePair pair{device, {.mtu = kMtu}};
  Instant now = tests::At(std::chrono::seconds(1000));
  const std::function<Instant()> clock = [this] { return now; };
};

inline const auto kEveryPair = testing::Values(
    PairKind{0, false}, PairKind{0, true}, PairKind{65530, false},
    PairKind{65530, true}, PairKind{0, false, kMaxBatch},
    PairKind{65530, true, kMaxBatch});

inline std::string PairName(const testing::TestParamInfo<PairKind>& info) {
  return fmt::format("Base{}{}AtOnce{}", info.param.base,
                     info.param.event_idx ? "EventIdx" : "Flags",
                     info.param.at_once);
}

}  // namespace net

#endif  // VDUSE_NET_TESTS_NET_PATH_QUEUE_PAIR_FIXTURE_H_
