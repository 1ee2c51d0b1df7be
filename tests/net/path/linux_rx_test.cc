// SPDX-License-Identifier: Apache-2.0
//
// A queue pair and Linux's receive side, which offers new buffers only once it
// has been given some: whatever comes, receiving goes on.
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/net/path/linux_rx_model.h"
#include "tests/net/path/queue_pair_fixture.h"
#include "tests/support/instant.h"

namespace net {
namespace {

using std::chrono::seconds;
using tests::LinuxRxModel;

constexpr Duration kLackLimit = RxPath::kLackLimit;

// Ring size, EVENT_IDX, MTU.
class LinuxRxTest
    : public testing::TestWithParam<std::tuple<uint32_t, bool, uint16_t>> {
 protected:
  LinuxRxTest() {
    device.SendStatus(0xf);
    vduse_dev_response response = {};
    response.request_id = device.ReadRequest().value()->request_id;
    EXPECT_TRUE(device.Reply(response).ok());
    port.at_once = kMaxBatch;
    pair.SetPort(std::make_unique<tests::ScriptPort>(port));
    uint64_t features = Bit(kFeatureVersion1) | Bit(kFeatureMrgRxbuf);
    if (event_idx) features |= Bit(kFeatureEventIdx);
    EXPECT_TRUE(pair.rx()
                    .Start(driver.queue().info(), features,
                           Virtqueue::Start::kFresh, coalesce::Params{}, now)
                    .ok());
  }

  // Until nothing happens without time; says when something is due then.
  std::optional<Instant> Rest(bool readable) {
    Ready ready = {.port_readable = readable};
    for (int i = 0; i < 10'000; ++i) {
      const Wait wait = pair.Step(std::exchange(ready, {}), clock);
      const bool notified =
          std::exchange(injects, device.injects(0)) != device.injects(0);
      if (notified) ready.rx_kick = driver.Interrupt();
      ready.port_readable = wait.port_readable && !port.reads.empty();
      if (!notified && !wait.again && !ready.port_readable) {
        return wait.deadline;
      }
    }
    ADD_FAILURE() << "never comes to rest";
    return std::nullopt;
  }

  // Lets time pass as long as something is due at some time.
  void Settle() {
    std::optional<Instant> due = Rest(true);
    for (int i = 0; due && i < 1000; ++i) {
      now = std::max(now, *due);
      due = Rest(false);
    }
    EXPECT_FALSE(due);
    EXPECT_TRUE(port.reads.empty()) << port.reads.size() << " are stuck";
  }

  void Come(size_t frame_bytes) {
    port.Receive(Packet(Bytes(frame_bytes)));
    ++came;
  }
  uint64_t lost() const {
    return pair.counters().rx.too_large + pair.counters().rx.overruns;
  }

  const uint32_t size = std::get<0>(GetParam());
  const bool event_idx = std::get<1>(GetParam());
  tests::FakeDevice device{2};
  tests::DriverMemory memory{device};
  LinuxRxModel driver{
      device,
      memory,
      {.index = 0, .size = size, .base = 65530, .event_idx = event_idx}};
  tests::PortScript port;
  QueuePair pair{device, {.mtu = std::get<2>(GetParam())}};
  Instant now = tests::At(seconds(1000));
  const std::function<Instant()> clock = [this] { return now; };
  uint64_t injects = 0;
  uint64_t came = 0;
};

INSTANTIATE_TEST_SUITE_P(
    Rings, LinuxRxTest,
    testing::Combine(testing::Values(16U, 32U, 64U, 128U, 256U),
                     testing::Bool(),
                     testing::Values<uint16_t>(1500, 1507, 9000, 65535)));

TEST_P(LinuxRxTest, NothingIsStuckWhateverComes) {
  const std::vector<std::vector<size_t>> kinds = {
      {65535},
      {9014},
      {60, 65535},
      {60, 60, 60, 9014, 1514},
      {1514, 1600, 3000, 20'000, 60, 65535, 60},
      {40'000, 30'000, 60}};
  for (const std::vector<size_t>& kind : kinds) {
    for (uint32_t before = 0; before <= size; before += size / 16) {
      // So many buffers less, and not all of them replaced.
      for (uint32_t i = 0; i < before; ++i) Come(60);
      Settle();
      for (const size_t bytes : kind) Come(bytes);
      Settle();
      const uint64_t lost_before = lost();
      Come(60);
      Settle();
      ASSERT_EQ(lost(), lost_before) << "a small packet always has room";
      ASSERT_EQ(driver.packets().back(), kHeaderBytes + 60);
    }
  }
  EXPECT_EQ(driver.packets().size() + lost(), came);
  EXPECT_EQ(pair.counters().rx.packets + lost(), came);
  // Half of the ring is always there.
  if (size / 2 * LinuxRxModel::kBufferBytes > 66'000) {
    EXPECT_EQ(lost(), 0U);
  }
}

// Linux leaves some buffers in the ring, which do not suffice, and adds none.
TEST_P(LinuxRxTest, APacketThatLacksBuffersIsLostAfterAWhileAndNoOther) {
  if (size != 64) return;
  for (int i = 0; i < 24; ++i) Come(60);
  Settle();
  ASSERT_EQ(driver.queue().outstanding(), 40U);
  const Instant start = now;
  Come(65535);
  Come(60);
  Settle();
  EXPECT_EQ(now - start, kLackLimit);
  EXPECT_EQ(pair.counters().rx.overruns, 1U);
  EXPECT_EQ(driver.packets().size(), 25U);
}

}  // namespace
}  // namespace net
