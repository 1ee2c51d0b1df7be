// SPDX-License-Identifier: Apache-2.0
//
// When the driver is told, and what survives a change of its memory or of
// this process.
#include <errno.h>

#include "tests/net/queue_pair_fixture.h"

namespace net {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using coalesce::Params;

// Enough packets and time never to notify by themselves.
constexpr Params kPatient{.max_packets = 1000, .max_usecs = 500'000};

class NotifyTest : public QueuePairTest {
 protected:
  // The first notification of a queue is always sent; gets it over with.
  void WarmUp() {
    AwaitNext();
    ExpectTransmits();
    ExpectReceives();
    now += seconds(2);
    AwaitNext();
    Step();
    rx_before = rx_injects();
    tx_before = tx_injects();
  }

  void SendOne() {
    OfferTx(Packet(Frame(60)));
    Step();
  }

  uint64_t new_rx() { return rx_injects() - rx_before; }
  uint64_t new_tx() { return tx_injects() - tx_before; }

  uint64_t rx_before = 0;
  uint64_t tx_before = 0;
};

INSTANTIATE_TEST_SUITE_P(Rings, NotifyTest, kEveryPair, PairName);

TEST_P(NotifyTest, WithoutCoalescingEachPacketNotifies) {
  Start();
  WarmUp();
  for (uint64_t i = 1; i <= 3 * kSize; ++i) {
    AwaitNext();
    SendOne();
    EXPECT_EQ(new_tx(), i);
    OfferRx();
    port.Receive(Packet(Frame(60)));
    Step();
    EXPECT_EQ(new_rx(), i);
    tx.DrainUsed();
    rx.DrainUsed();
  }
}

TEST_P(NotifyTest, ADriverThatPollsIsNotNotified) {
  Start();
  WarmUp();
  for (uint32_t i = 0; i < 3 * kSize; ++i) {
    tx.SetNoInterrupt(true);
    tx.SetUsedEvent(static_cast<uint16_t>(tx.used_idx() - 1));
    SendOne();
    EXPECT_TRUE(tx.TakeUsed()) << "the entry is there at once all the same";
  }
  EXPECT_EQ(new_tx(), 0U);
  EXPECT_EQ(pair.counters().tx_queue.suppressed, 3 * kSize);
}

TEST_P(NotifyTest, CoalescedPacketsAreVisibleAtOnceAndNotifyAtTheLimit) {
  Start({.max_packets = 4, .max_usecs = 10'000});
  WarmUp();
  for (int batch = 1; batch <= 5; ++batch) {
    AwaitNext();
    for (int i = 1; i <= 4; ++i) {
      SendOne();
      ASSERT_TRUE(tx.TakeUsed());
      EXPECT_EQ(new_tx(), static_cast<uint64_t>(i < 4 ? batch - 1 : batch));
    }
  }
}

TEST_P(NotifyTest, CoalescedPacketsNotifyAtTheDeadlineOfTheFirst) {
  Start({.max_packets = 1000, .max_usecs = 100});
  WarmUp();
  const Time due = now + microseconds(100);
  for (int i = 0; i < 3; ++i) {
    OfferTx(Packet(Frame(60)));
    EXPECT_EQ(Step().deadline, due);
    now += microseconds(30);
  }
  now = due - std::chrono::nanoseconds(1);
  Step({});
  EXPECT_EQ(new_tx(), 0U);
  now = due;
  EXPECT_FALSE(Step({}).deadline);
  EXPECT_EQ(new_tx(), 1U);
}

TEST_P(NotifyTest, TheQueuesHaveTheirOwnParametersAndDeadlines) {
  ForceDriverOk();
  StartQueue(Direction::kRx, {.max_packets = 100, .max_usecs = 50});
  StartQueue(Direction::kTx, {.max_packets = 100, .max_usecs = 80});
  WarmUp();
  OfferRx();
  OfferRx();
  port.Receive(Packet(Frame(60)));
  OfferTx(Packet(Frame(60)));
  EXPECT_EQ(Step().deadline, now + microseconds(50));
  now += microseconds(50);
  EXPECT_EQ(Step({}).deadline, now + microseconds(30));
  EXPECT_EQ(new_rx(), 1U);
  EXPECT_EQ(new_tx(), 0U);
}

TEST_P(NotifyTest, APacketOverFourBuffersCountsAsOne) {
  Start({.max_packets = 2, .max_usecs = 400'000});
  WarmUp();
  for (int i = 0; i < 14; ++i) OfferRx(400);
  port.Receive(Packet(Frame(1500)));
  Step();
  EXPECT_EQ(rx.DrainUsed(), 4U);
  EXPECT_EQ(new_rx(), 0U);
  port.Receive(Packet(Frame(1500)));
  Step();
  EXPECT_EQ(rx.DrainUsed(), 4U);
  EXPECT_EQ(new_rx(), 1U);
}

TEST_P(NotifyTest, ADroppedPacketIsACompletedOne) {
  Start({.max_packets = 2, .max_usecs = 400'000});
  WarmUp();
  OfferTx(Bytes(3));
  OfferTx(Bytes(3));
  Step();
  EXPECT_EQ(new_tx(), 1U);
}

TEST_P(NotifyTest, NewParametersRuleOverWhatIsPending) {
  Start(kPatient);
  WarmUp();
  for (int i = 0; i < 3; ++i) SendOne();
  pair.SetParams(Direction::kTx, {.max_packets = 4, .max_usecs = 1000}, now);
  EXPECT_EQ(new_tx(), 0U);
  EXPECT_EQ(Step().deadline, now + milliseconds(1));
  pair.SetParams(Direction::kTx, {.max_packets = 3, .max_usecs = 1000}, now);
  EXPECT_EQ(new_tx(), 1U);
  EXPECT_FALSE(Step().deadline);
  pair.SetParams(Direction::kRx, kOff, now);
  EXPECT_EQ(new_rx(), 0U);
}

TEST_P(NotifyTest, ADriverShortOfTxDescriptorsIsNotifiedEarly) {
  Start(kPatient);
  WarmUp();
  for (uint32_t i = 1; i <= kSize * 3 / 4; ++i) {
    EXPECT_EQ(new_tx(), 0U) << i;
    SendOne();
  }
  EXPECT_EQ(new_tx(), 1U);
}

TEST_P(NotifyTest, DescriptorsCountForTheEarlyNotificationNotPackets) {
  Start(kPatient);
  WarmUp();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(new_tx(), 0U);
    tx.Chain().Readable(Bytes(12)).Readable(Bytes(30)).Readable(Bytes(30))
        .Offer();
    Step();
  }
  EXPECT_EQ(new_tx(), 1U);
}

TEST_P(NotifyTest, ADriverWithoutRxBuffersIsNotifiedAtOnce) {
  Start(kPatient);
  WarmUp();
  OfferRx();
  OfferRx();
  port.Receive(Packet(Frame(60)));
  Step();
  EXPECT_EQ(new_rx(), 0U);
  port.Receive(Packet(Frame(60)));
  Step();
  EXPECT_EQ(new_rx(), 1U);
}

// A driver that refills its ring inside the interrupt, when kicks are off.
class RefillingDevice : public tests::FakeDevice {
 public:
  using FakeDevice::FakeDevice;
  vduse::InjectResult Inject(uint32_t index) override {
    const vduse::InjectResult result = FakeDevice::Inject(index);
    if (on_inject) std::exchange(on_inject, nullptr)();
    return result;
  }
  std::function<void()> on_inject;
};

TEST_P(NotifyTest, Row82_BuffersOfferedBeforeKicksAreOnAreFound) {
  RefillingDevice refilling(2);
  tests::DriverMemory its_memory(refilling);
  tests::DriverQueue its_rx(refilling, its_memory, QueueOptions(0, kSize));
  QueuePair<tests::ScriptPort> its_pair(refilling, 0, kMtu);
  its_pair.SetPort(tests::ScriptPort(port));
  ASSERT_TRUE(its_pair
                  .Start(Direction::kRx, its_rx.info(), features,
                         Virtqueue::Start::kFresh, kPatient, now)
                  .ok());
  its_rx.Chain().Writable(2048).Offer();
  refilling.on_inject = [&] { its_rx.Chain().Writable(2048).Offer(); };
  port.Receive(Packet(Frame(60, 1)));
  port.Receive(Packet(Frame(60, 2)));
  Wait wait = its_pair.Step({.port_readable = true, .rx_kick = true}, now);
  EXPECT_TRUE(wait.again);
  its_pair.Step({}, now);
  EXPECT_EQ(its_rx.DrainUsed(), 2U);
}

TEST_P(NotifyTest, Row130_BeforeDriverOkIsInForceTheNotificationStaysOwed) {
  StartQueue(Direction::kRx);
  StartQueue(Direction::kTx);
  OfferTx(Packet(Frame(60)));
  Wait wait = Step();
  ASSERT_TRUE(wait.deadline);
  EXPECT_GT(*wait.deadline, now);
  for (int i = 0; i < 20; ++i) {
    now = *wait.deadline;
    wait = Step({});
    ASSERT_TRUE(wait.deadline);
    EXPECT_GT(*wait.deadline, now);
    EXPECT_LE(*wait.deadline, now + milliseconds(100));
  }
  EXPECT_EQ(tx_injects(), 0U);
  ForceDriverOk();
  now = *wait.deadline;
  EXPECT_FALSE(Step({}).deadline);
  EXPECT_EQ(tx_injects(), 1U);
}

TEST_P(NotifyTest, Row130_ABrokenDeviceIsNotNotifiedForEver) {
  Start();
  device.Break();
  OfferTx(Packet(Frame(60)));
  EXPECT_FALSE(Step().deadline);
  EXPECT_TRUE(tx.TakeUsed());
}

TEST_P(NotifyTest, StoppingCancelsWhatIsPending) {
  Start(kPatient);
  WarmUp();
  SendOne();
  pair.Stop();
  now += seconds(2);
  EXPECT_FALSE(Step().deadline);
  EXPECT_EQ(new_tx(), 0U);
  EXPECT_EQ(pair.counters().tx_queue.packets, 2U) << "counters outlive it";
}

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
  QueuePair<tests::ScriptPort> successor(device, 0, kMtu);
  successor.SetPort(tests::ScriptPort(port));
  for (const Direction direction : {Direction::kRx, Direction::kTx}) {
    const auto& queue = direction == Direction::kRx ? rx : tx;
    ASSERT_TRUE(successor
                    .Start(direction, queue.info(), features,
                           Virtqueue::Start::kRecovered, {}, now)
                    .ok());
  }
  port.Receive(Packet(Frame(60, 2)));
  rx.SetNoInterrupt(true);
  tx.SetNoInterrupt(true);
  successor.Step({}, now);
  EXPECT_EQ(port.written.size(), 3U);
  EXPECT_EQ(port.written.back(), Packet(Frame(60, 3)));
  EXPECT_EQ(tx.DrainUsed(), 3U);
  EXPECT_EQ(rx.DrainUsed(), 2U);
  EXPECT_GT(rx_injects(), rx_before) << "whatever the driver said before";
  EXPECT_GT(tx_injects(), tx_before);
  EXPECT_EQ(*successor.Position(Direction::kTx),
            static_cast<uint16_t>(GetParam().base + 3));
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
  EXPECT_EQ(pair.counters().tx_bad_chain, 1U);
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
  Time pause{};
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
  const Time due = *Step().deadline;
  device.RemoveRegion(tests::DriverMemory::kStart);
  pair.InvalidateIova(0, kAll);
  now = due;
  const Wait wait = Step();
  EXPECT_FALSE(wait.port_writable);
  ASSERT_TRUE(wait.deadline);
  EXPECT_GT(*wait.deadline, now) << "else the worker spins";
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
  QueuePair<tests::ScriptPort> pair(device, 0, 1500);
  pair.SetPort(tests::ScriptPort(port));
  const uint64_t features = Bit(kFeatureVersion1);
  Time now = seconds(1);
  constexpr auto kFresh = Virtqueue::Start::kFresh;
  ASSERT_TRUE(
      pair.Start(Direction::kRx, rx.info(), features, kFresh, {}, now).ok());
  ASSERT_TRUE(
      pair.Start(Direction::kTx, tx.info(), features, kFresh, {}, now).ok());
  rx.Chain().Writable(2048).Offer();
  tx.Chain().Readable(Packet(Frame(60))).Offer();
  port.Receive(Packet(Frame(60)));

  device.RemoveRegion(rx_gone ? 0x1000000 : 0x2000000);
  pair.InvalidateIova(0, UINT64_MAX);
  for (int i = 0; i < 5; ++i) {
    pair.Step({.port_readable = true, .rx_kick = true, .tx_kick = true}, now);
    now += seconds(1);
  }
  EXPECT_EQ(rx.DrainUsed(), rx_gone ? 0U : 1U);
  EXPECT_EQ(tx.DrainUsed(), rx_gone ? 1U : 0U);
}

}  // namespace
}  // namespace net
