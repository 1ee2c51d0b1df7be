// SPDX-License-Identifier: Apache-2.0
//
// What survives a change of the driver's memory, or of this process.
#include <errno.h>
#include <unistd.h>

#include <memory>

#include "tests/net/path/queue_pair_fixture.h"
#include "tests/support/instant.h"
#include "vduse/sigbus_guard.h"

namespace net {
namespace {

using std::chrono::seconds;

class RecoveryTest : public QueuePairTest {};
INSTANTIATE_TEST_SUITE_P(Rings, RecoveryTest, kEveryPair, PairName);

TEST_P(RecoveryTest, ASuccessorGoesOnAtTheUsedIndexAndNotifies) {
  Start();
  OfferRx();
  OfferRx();
  port.Receive(Packet(Frame(60, 1)));
  for (uint8_t i = 1; i <= 3; ++i) OfferTx(Packet(Frame(60, i)));
  port.write_errors = {0, 0, EAGAIN};
  Step();
  ASSERT_EQ(port.written.size(), 2U);
  // The queue's information still says where it began.
  const uint64_t rx_before = rx_injects();
  const uint64_t tx_before = tx_injects();
  QueuePair successor{device, {.mtu = kMtu}};
  successor.SetPort(std::make_unique<tests::ScriptPort>(port));
  for (const Direction direction : {Direction::kRx, Direction::kTx}) {
    const auto& queue = direction == Direction::kRx ? rx : tx;
    StartQueue(successor, direction, queue, kOff, Virtqueue::Start::kRecovered);
  }
  port.Receive(Packet(Frame(60, 2)));
  rx.SetNoInterrupt(true);
  tx.SetNoInterrupt(true);
  successor.Step({}, clock);
  EXPECT_EQ(port.written.size(), 3U);
  EXPECT_EQ(port.written.back(), Packet(Frame(60, 3)));
  EXPECT_EQ(tx.DrainUsed(), 3U);
  EXPECT_EQ(rx.DrainUsed(), 2U);
  EXPECT_GT(rx_injects(), rx_before) << "whatever the driver said before";
  EXPECT_GT(tx_injects(), tx_before);
  EXPECT_EQ(successor.tx().position()->avail_index,
            static_cast<uint16_t>(GetParam().base + 3));
}

TEST_P(RecoveryTest, ASuccessorWithNothingToDoNotifiesAllTheSame) {
  ForceDriverOk();
  constexpr auto kRecovered = Virtqueue::Start::kRecovered;
  StartQueue(Direction::kRx, kOff, kRecovered);
  StartQueue(Direction::kTx, kOff, kRecovered);
  Step();
  EXPECT_EQ(rx_injects(), 1U) << "the last one may have been lost";
  EXPECT_EQ(tx_injects(), 1U);
  Step();
  EXPECT_EQ(rx_injects() + tx_injects(), 2U);
}

class IovaTest : public QueuePairTest {
 protected:
  static constexpr uint64_t kFrames = 0x10000000;
  static constexpr uint64_t kAll = UINT64_MAX;

  IovaTest() { Start(); }

  // A packet whose frame lies in the region at kFrames.
  void SendFromRegion() {
    tx.Chain().Readable(HeaderBytes({})).ReadableAt(kFrames, 60).Offer();
    Step();
    ASSERT_TRUE(tx.TakeUsed());
  }
};

INSTANTIATE_TEST_SUITE_P(Rings, IovaTest, kEveryPair, PairName);

TEST_P(IovaTest, Row118_AfterAnUpdateTheNewMemoryIsRead) {
  for (uint8_t round = 0; round < 5; ++round) {
    uint8_t* data = device.AddRegion(kFrames, 4096);
    std::memset(data, round, 4096);
    SendFromRegion();
    ASSERT_EQ(port.written.back(), Cat(HeaderBytes({}), Bytes(60, round)));
    device.RemoveRegion(kFrames);
    pair.InvalidateIova(kFrames, kFrames + 4095);
  }
  const size_t written = port.written.size();
  SendFromRegion();
  EXPECT_EQ(port.written.size(), written) << "nothing is there any more";
  EXPECT_EQ(pair.counters().tx.bad_chain, 1U);
}

TEST_P(IovaTest, Row119_TheWholeAddressSpaceMayBeUpdatedAtAnyTime) {
  for (int i = 0; i < 10; ++i) {
    pair.InvalidateIova(0, kAll);
    ExpectTransmits();
    pair.InvalidateIova(0, kAll);
    ExpectReceives();
  }
}

TEST_P(IovaTest, Row120_APartOfARegionTakesTheWholeWithIt) {
  uint8_t* old = device.AddRegion(kFrames, 8192);
  old[0] = 1;
  SendFromRegion();
  device.RemoveRegion(kFrames);
  device.AddRegion(kFrames, 4096)[0] = 2;
  pair.InvalidateIova(kFrames + 4096, kFrames + 4096);
  SendFromRegion();
  EXPECT_EQ(port.written.back()[kHeaderBytes], 2);
}

TEST_P(IovaTest, RingsThatGoAreLookedForAtGrowingIntervals) {
  device.RemoveRegion(tests::DriverMemory::kStart);
  pair.InvalidateIova(0, kAll);
  OfferTx(Packet(Frame(60)));
  Wait wait = Step();
  Duration pause{};
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(wait.deadline);
    EXPECT_GT(*wait.deadline, now);
    EXPECT_GE(*wait.deadline - now, pause);
    EXPECT_LE(*wait.deadline - now, seconds(1));
    pause = *wait.deadline - now;
    const uint64_t lookups = device.lookups();
    Step();
    EXPECT_EQ(device.lookups(), lookups) << "not before its time";
    now = *wait.deadline;
    wait = Step();
  }
  EXPECT_EQ(port.write_calls, 0U);
}

TEST_P(IovaTest, Row122_ALookUpThatFailsInPassingDelaysOnly) {
  OfferTx(Packet(Frame(60)));
  pair.InvalidateIova(0, kAll);
  device.FailLookups(1, absl::ResourceExhaustedError(""));
  Wait wait = Step();
  for (int i = 0; i < 3 && port.written.empty(); ++i) {
    if (wait.deadline) now = *wait.deadline;
    wait = Step({});
  }
  EXPECT_EQ(port.written.size(), 1U);
  EXPECT_TRUE(tx.TakeUsed());
}

TEST_P(IovaTest, RingsThatGoWhileThePortIsFullWaitForNoPort) {
  port.write_error = EAGAIN;
  OfferTx(Packet(Frame(60)));
  const Instant due = *Step().deadline;
  device.RemoveRegion(tests::DriverMemory::kStart);
  pair.InvalidateIova(0, kAll);
  now = due;
  const Wait wait = Step();
  EXPECT_FALSE(wait.port_writable);
  ASSERT_TRUE(wait.deadline);
  EXPECT_GT(*wait.deadline, now) << "else the worker spins";
}

TEST_P(IovaTest, Row124_AFrameWithoutPagesStopsBothQueuesOfThePair) {
  vduse::SigbusGuard::Install();
  device.AddRegion(kFrames, 8192);
  ASSERT_EQ(ftruncate(device.RegionFd(kFrames), 4096), 0);
  SendFromRegion();
  EXPECT_FALSE(pair.tx().broken());
  tx.Chain().Readable(HeaderBytes({})).ReadableAt(kFrames + 4096, 60).Offer();
  Step();
  EXPECT_TRUE(tx.TakeUsed()) << "it was taken";
  for (const Direction direction : {Direction::kRx, Direction::kTx}) {
    EXPECT_NE(pair.path(direction).broken_reason(), "");
  }
  const size_t written = port.written.size();
  OfferTx(Packet(Frame(60)));
  Step();
  EXPECT_EQ(port.written.size(), written);
}

TEST_P(IovaTest, Row125_AStoppedPairKeepsNoMapping) {
  device.AddRegion(kFrames, 4096)[0] = 1;
  SendFromRegion();
  pair.Stop();
  device.RemoveRegion(kFrames);
  device.AddRegion(kFrames, 4096)[0] = 2;
  rx.Restart(GetParam().base);
  tx.Restart(GetParam().base);
  StartQueue(Direction::kTx);
  SendFromRegion();
  EXPECT_EQ(port.written.back()[kHeaderBytes], 2);
}

// The rings of the queues in regions of their own.
class TwoRegionsTest : public testing::TestWithParam<Direction> {};
INSTANTIATE_TEST_SUITE_P(Directions, TwoRegionsTest,
                         testing::Values(Direction::kRx, Direction::kTx));

TEST_P(TwoRegionsTest, AQueueRunsOnWhileTheOthersRingsAreGone) {
  const bool rx_gone = GetParam() == Direction::kRx;
  tests::FakeDevice device(2);
  tests::DriverMemory rx_memory(device, 0x1000000);
  tests::DriverMemory tx_memory(device, 0x2000000);
  tests::DriverQueue rx(device, rx_memory, {.index = 0});
  tests::DriverQueue tx(device, tx_memory, {.index = 1});
  tests::PortScript port;
  QueuePair pair{device, {.mtu = 1500}};
  pair.SetPort(std::make_unique<tests::ScriptPort>(port));
  const uint64_t features = Bit(kFeatureVersion1);
  Instant now = tests::At(seconds(1));
  const auto clock = [&now] { return now; };
  constexpr auto kFresh = Virtqueue::Start::kFresh;
  ASSERT_TRUE(pair.rx().Start(rx.info(), features, kFresh, {}, now).ok());
  ASSERT_TRUE(pair.tx().Start(tx.info(), features, kFresh, {}, now).ok());
  rx.Chain().Writable(2048).Offer();
  tx.Chain().Readable(Packet(Frame(60))).Offer();
  port.Receive(Packet(Frame(60)));

  device.RemoveRegion(rx_gone ? 0x1000000 : 0x2000000);
  pair.InvalidateIova(0, UINT64_MAX);
  for (int i = 0; i < 5; ++i) {
    pair.Step({.port_readable = true, .rx_kick = true, .tx_kick = true}, clock);
    now += seconds(1);
  }
  EXPECT_EQ(rx.DrainUsed(), rx_gone ? 0U : 1U);
  EXPECT_EQ(tx.DrainUsed(), rx_gone ? 1U : 0U);
}

}  // namespace
}  // namespace net
