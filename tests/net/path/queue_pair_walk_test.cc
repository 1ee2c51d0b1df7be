// SPDX-License-Identifier: Apache-2.0
//
// Chains that are much work and no packets: a step looks at a bounded number of
// descriptors, the other queue has its turn in each, and every chain is
// returned.
#include <algorithm>
#include <functional>

#include "tests/net/path/queue_pair_fixture.h"

namespace net {
namespace {

class WalkTest : public QueuePairTest {
 protected:
  static constexpr uint32_t kSize = vduse::kMaxQueueSize;
  static constexpr uint64_t kMostSent = 2 * kSize;
  static constexpr uint64_t kMostReceived = 3 * kSize + 1;
  static constexpr Ready kAll = {
      .port_readable = true, .rx_kick = true, .tx_kick = true};

  WalkTest() : QueuePairTest(kSize) { Start(); }

  // Links the descriptors from `first` on to a chain of empty ones, whose last
  // has `bytes`.
  static void Link(tests::DriverQueue& queue, uint32_t first, uint32_t count,
                   uint16_t flags, uint64_t iova = 0, uint32_t bytes = 0) {
    for (uint32_t i = first; i < first + count; ++i) {
      const bool last = i + 1 == first + count;
      queue.desc(i) = {
          .addr = last ? iova : 0,
          .len = last ? bytes : 0,
          .flags = static_cast<uint16_t>(flags | (last ? 0 : vduse::kDescNext)),
          .next = static_cast<uint16_t>(last ? 0 : i + 1)};
    }
  }

  uint64_t Walked(Direction direction) const {
    return pair.path(direction).queue()->ring().walked();
  }

  // Steps until there is nothing more to do, each within its bounds; says how
  // many. After each, `each` is called.
  uint32_t StepAll(const std::function<void()>& each = [] {}) {
    uint32_t steps = 0;
    Wait wait;
    wait.again = true;
    while (wait.again && steps < 10'000) {
      const uint64_t sent = Walked(Direction::kTx);
      const uint64_t received = Walked(Direction::kRx);
      wait = pair.Step(kAll, clock);
      EXPECT_LE(Walked(Direction::kTx) - sent, kMostSent);
      EXPECT_LE(Walked(Direction::kRx) - received, kMostReceived);
      ++steps;
      each();
    }
    EXPECT_FALSE(wait.again) << "never comes to rest";
    return steps;
  }
};

INSTANTIATE_TEST_SUITE_P(Rings, WalkTest, kEveryPair, PairName);

TEST_P(WalkTest, Row58_TxChainsOfEmptyDescriptorsLeaveReceivingItsTurn) {
  constexpr uint32_t kChains = 64;
  Link(tx, 0, kSize, 0);
  for (uint32_t i = 0; i < kChains; ++i) tx.OfferHead(0);
  uint32_t received = 0;
  const auto another = [&] {
    OfferRx();
    port.Receive(Packet(Frame(60)));
  };
  another();
  const uint32_t steps = StepAll([&] {
    received += rx.DrainUsed();
    if (received < 8) another();
  });
  EXPECT_GE(received, 8U);
  EXPECT_GE(steps, kChains / 2);
  EXPECT_EQ(tx.DrainUsed(), kChains);
  EXPECT_EQ(pair.counters().tx.bad_chain, kChains);
}

TEST_P(WalkTest, Row58_TablesOfEmptyDescriptorsCountByTheirLength) {
  constexpr uint32_t kChains = 64;
  const uint64_t table = memory.Allocate(uint64_t{kSize} * sizeof(vduse::Desc));
  auto* entries = reinterpret_cast<vduse::Desc*>(memory.At(table));
  for (uint32_t i = 0; i < kSize; ++i) {
    entries[i] = {.addr = 0,
                  .len = 0,
                  .flags = vduse::kDescNext,
                  .next = static_cast<uint16_t>(i + 1)};
  }
  tx.desc(0) = {.addr = table,
                .len = kSize * sizeof(vduse::Desc),
                .flags = vduse::kDescIndirect,
                .next = 0};
  for (uint32_t i = 0; i < kChains; ++i) tx.OfferHead(0);
  EXPECT_GE(StepAll(), kChains / 2);
  EXPECT_EQ(tx.DrainUsed(), kChains);
}

TEST_P(WalkTest, Row58_RxChainsOfEmptyDescriptorsComeBackAndReceivingGoesOn) {
  constexpr uint32_t kChains = 16;
  Link(rx, 0, kSize - 1, vduse::kDescWrite);
  for (uint32_t i = 0; i < kChains; ++i) rx.OfferHead(0);
  port.Receive(Packet(Frame(60)));
  EXPECT_GE(StepAll(), kChains / 3);
  EXPECT_EQ(rx.DrainUsed(), kChains);
  EXPECT_EQ(pair.counters().rx.bad_chain, kChains);
  OfferRx();
  StepAll();
  EXPECT_EQ(rx.DrainUsed(), 1U);
}

TEST_P(WalkTest, Row58_AFewUnusableBuffersAreReturnedInAStep) {
  constexpr uint32_t kChains = 1000;
  rx.desc(0) = {.addr = 0, .len = 0, .flags = vduse::kDescWrite, .next = 0};
  for (uint32_t i = 0; i < kChains; ++i) rx.OfferHead(0);
  port.Receive(Packet(Frame(60)));
  uint32_t most = 0;
  StepAll([&] { most = std::max(most, rx.DrainUsed()); });
  EXPECT_LE(most, kMaxBatch);
  EXPECT_EQ(pair.counters().rx.bad_chain, kChains);
  EXPECT_EQ(port.reads.size(), 1U) << "waits for a buffer";
}

// The search for room for a packet ends. Others are received.
TEST_P(WalkTest, Row58_TinyBuffersInLongChainsDoNotHoldUpOtherPackets) {
  constexpr uint32_t kLength = 2048;
  constexpr uint32_t kBytes = 100;
  const uint64_t buffer = memory.Allocate(kBytes);
  Link(rx, 0, kLength, vduse::kDescWrite, buffer, kBytes);
  for (int i = 0; i < 64; ++i) rx.OfferHead(0, kBytes);
  port.Receive(Packet(Frame(60)));
  port.Receive(Packet(Frame(5000)));
  port.Receive(Packet(Frame(60)));
  port.Receive(Packet(Frame(1000)));
  StepAll();
  EXPECT_EQ(pair.counters().rx.too_large, 1U);
  EXPECT_EQ(pair.counters().rx.packets, 3U);
  EXPECT_EQ(pair.rx().broken_reason(), "");
  EXPECT_TRUE(port.reads.empty());
}

}  // namespace
}  // namespace net
