// SPDX-License-Identifier: Apache-2.0
//
// When the driver is told.
#include "tests/net/path/queue_pair_fixture.h"

namespace net {
namespace {

using coalesce::Params;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Enough packets and time never to notify by themselves.
constexpr Params kPatient{.max_packets = 1000, .max_usecs = 500'000};

class PairNotifyTest : public QueuePairTest {
 protected:
  // Larger than what a driver keeps free.
  static constexpr uint32_t kSize = 64;
  static constexpr uint32_t kEarly = kSize - 18;

  PairNotifyTest() : QueuePairTest(kSize) {}

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
    starved_before = pair.counters().rx.queue.due_to(FlushCause::kStarved);
  }

  void SendOne() {
    OfferTx(Packet(Frame(60)));
    Step();
  }

  uint64_t new_rx() { return rx_injects() - rx_before; }
  uint64_t new_tx() { return tx_injects() - tx_before; }

  uint64_t starved() {
    return pair.counters().rx.queue.due_to(FlushCause::kStarved) -
           starved_before;
  }

  uint64_t rx_before = 0;
  uint64_t tx_before = 0;
  uint64_t starved_before = 0;
};

INSTANTIATE_TEST_SUITE_P(Rings, PairNotifyTest, kEveryPair, PairName);

TEST_P(PairNotifyTest, WithoutCoalescingEachPacketNotifies) {
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

TEST_P(PairNotifyTest, ADriverThatPollsIsNotNotified) {
  Start();
  WarmUp();
  for (uint32_t i = 0; i < 3 * kSize; ++i) {
    tx.SetNoInterrupt(true);
    tx.SetUsedEvent(static_cast<uint16_t>(tx.used_idx() - 1));
    SendOne();
    EXPECT_TRUE(tx.TakeUsed()) << "the entry is there at once all the same";
  }
  EXPECT_EQ(new_tx(), 0U);
  EXPECT_EQ(pair.counters().tx.queue.suppressed, 3 * kSize);
}

TEST_P(PairNotifyTest, CoalescedPacketsAreVisibleAtOnceAndNotifyAtTheLimit) {
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

TEST_P(PairNotifyTest, CoalescedPacketsNotifyAtTheDeadlineOfTheFirst) {
  Start({.max_packets = 1000, .max_usecs = 100});
  WarmUp();
  const Instant due = now + microseconds(100);
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

TEST_P(PairNotifyTest, TheQueuesHaveTheirOwnParametersAndDeadlines) {
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

TEST_P(PairNotifyTest, APacketOverFourBuffersCountsAsOne) {
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

TEST_P(PairNotifyTest, ADroppedPacketIsACompletedOne) {
  Start({.max_packets = 2, .max_usecs = 400'000});
  WarmUp();
  OfferTx(Bytes(3));
  OfferTx(Bytes(3));
  Step();
  EXPECT_EQ(new_tx(), 1U);
}

TEST_P(PairNotifyTest, NewParametersRuleOverWhatIsPending) {
  Start(kPatient);
  WarmUp();
  for (int i = 0; i < 3; ++i) SendOne();
  pair.tx().SetCoalescing(coalesce::Params{.max_packets = 4, .max_usecs = 1000},
                          now);
  EXPECT_EQ(new_tx(), 0U);
  EXPECT_EQ(Step().deadline, now + milliseconds(1));
  pair.tx().SetCoalescing(coalesce::Params{.max_packets = 3, .max_usecs = 1000},
                          now);
  EXPECT_EQ(new_tx(), 1U);
  EXPECT_FALSE(Step().deadline);
  pair.rx().SetCoalescing(kOff, now);
  EXPECT_EQ(new_rx(), 0U);
}

TEST_P(PairNotifyTest, ADriverShortOfTxDescriptorsIsNotifiedEarly) {
  Start(kPatient);
  WarmUp();
  for (uint32_t i = 1; i <= kEarly; ++i) {
    EXPECT_EQ(new_tx(), 0U) << i;
    SendOne();
  }
  EXPECT_EQ(new_tx(), 1U);
  EXPECT_EQ(pair.counters().tx.queue.due_to(FlushCause::kDescriptors), 1U);
}

// Linux stops a queue with fewer free descriptors than its largest packet may
// need, and starts it again when it is notified.
TEST_P(PairNotifyTest, ADriverThatHasStoppedItsTxQueueIsNotified) {
  constexpr uint32_t kLargestPacket = 19;
  for (const uint32_t size : {16U, 32U, 64U, 128U, 256U, 1024U}) {
    tests::FakeDevice its_device(2);
    ForceDriverOk(its_device);
    tests::DriverMemory its_memory(its_device);
    tests::DriverQueue its_tx(its_device, its_memory, QueueOptions(1, size));
    QueuePair its_pair{its_device, {.mtu = kMtu}};
    its_pair.SetPort(std::make_unique<tests::ScriptPort>(port));
    StartQueue(its_pair, Direction::kTx, its_tx, kPatient);
    uint32_t free = size;
    do {
      its_tx.Chain().Readable(Packet(Frame(60))).Offer();
      its_pair.Step({.tx_kick = true}, clock);
      --free;
    } while (free >= kLargestPacket);
    EXPECT_EQ(its_device.injects(1), 1U) << size;
  }
}

TEST_P(PairNotifyTest, DescriptorsCountForTheEarlyNotificationNotPackets) {
  Start(kPatient);
  WarmUp();
  for (uint32_t i = 0; i < kEarly; i += 3) {
    EXPECT_EQ(new_tx(), 0U);
    tx.Chain()
        .Readable(Bytes(12))
        .Readable(Bytes(30))
        .Readable(Bytes(30))
        .Offer();
    Step();
  }
  EXPECT_EQ(new_tx(), 1U);
}

TEST_P(PairNotifyTest, ADriverWithoutRxBuffersIsNotifiedAtOnce) {
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
  EXPECT_EQ(starved(), 1U);
}

TEST_P(PairNotifyTest, ADriverWithTooFewRxBuffersIsNotifiedAtOnce) {
  Start(kPatient);
  WarmUp();
  for (int i = 0; i < 3; ++i) OfferRx();
  port.Receive(Packet(Frame(60)));
  port.Receive(Packet(Frame(5000)));
  Step();
  EXPECT_EQ(rx.DrainUsed(), 1U) << "two are left, and do not suffice";
  EXPECT_EQ(new_rx(), 1U);
  EXPECT_EQ(starved(), 1U);
}

TEST_P(PairNotifyTest, ALargePacketInTheLastRxBuffersNotifiesAtOnce) {
  Start(kPatient);
  WarmUp();
  // Read one by one, two by two, and then of four that were asked for the one
  // that there is, which takes all four buffers.
  for (int i = 0; i < 1 + 2 + 4; ++i) OfferRx();
  for (int i = 0; i < 1 + 2; ++i) port.Receive(Packet(Frame(60)));
  port.Receive(Packet(Frame(7000)));
  Step();
  EXPECT_EQ(rx.DrainUsed(), 7U);
  EXPECT_EQ(new_rx(), 1U);
  EXPECT_EQ(starved(), 1U);
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

TEST_P(PairNotifyTest, Row82_BuffersOfferedBeforeKicksAreOnAreFound) {
  RefillingDevice refilling(2);
  tests::DriverMemory its_memory(refilling);
  tests::DriverQueue its_rx(refilling, its_memory, QueueOptions(0, kSize));
  QueuePair its_pair{refilling, {.mtu = kMtu}};
  its_pair.SetPort(std::make_unique<tests::ScriptPort>(port));
  StartQueue(its_pair, Direction::kRx, its_rx, kPatient);
  its_rx.Chain().Writable(2048).Offer();
  refilling.on_inject = [&] { its_rx.Chain().Writable(2048).Offer(); };
  port.Receive(Packet(Frame(60, 1)));
  port.Receive(Packet(Frame(60, 2)));
  Wait wait = its_pair.Step({.port_readable = true, .rx_kick = true}, clock);
  EXPECT_TRUE(wait.again);
  its_pair.Step({}, clock);
  EXPECT_EQ(its_rx.DrainUsed(), 2U);
}

// A driver that answers every notification at once with more to do.
class EagerDevice : public tests::FakeDevice {
 public:
  using FakeDevice::FakeDevice;
  vduse::InjectResult Inject(uint32_t index) override {
    ++depth;
    deepest = std::max(deepest, depth);
    if (offers > 0) {
      --offers;
      on_inject();
    }
    const vduse::InjectResult result = FakeDevice::Inject(index);
    --depth;
    return result;
  }
  std::function<void()> on_inject;
  int offers = 1000;
  int depth = 0;
  int deepest = 0;
};

TEST_P(PairNotifyTest, Row94_ADeliveryThatBringsAnotherDoesNotNest) {
  EagerDevice eager(2);
  ForceDriverOk(eager);
  tests::DriverMemory its_memory(eager);
  tests::DriverQueue its_tx(eager, its_memory, QueueOptions(1, kSize));
  QueuePair its_pair{eager, {.mtu = kMtu}};
  its_pair.SetPort(std::make_unique<tests::ScriptPort>(port));
  StartQueue(its_pair, Direction::kTx, its_tx);
  eager.on_inject = [&] {
    its_tx.DrainUsed();
    its_tx.SetUsedEvent(its_tx.used_idx());
    its_tx.Chain().Readable(Packet(Frame(60))).Offer();
  };
  its_tx.Chain().Readable(Packet(Frame(60))).Offer();
  int steps = 0;
  Wait wait;
  do {
    wait = its_pair.Step({.tx_kick = steps == 0}, clock);
    ++steps;
  } while (wait.again && steps < 1000);
  EXPECT_EQ(eager.deepest, 1);
  EXPECT_EQ(port.written.size(), 1001U);
  EXPECT_GE(steps, 1000 / int{QueuePath::kBudget})
      << "a step ends at its budget";
}

TEST_P(PairNotifyTest, Row130_BeforeDriverOkIsInForceTheNotificationStaysOwed) {
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

TEST_P(PairNotifyTest, Row130_ABrokenDeviceIsNotNotifiedForEver) {
  Start();
  device.Break();
  OfferTx(Packet(Frame(60)));
  EXPECT_FALSE(Step().deadline);
  EXPECT_TRUE(tx.TakeUsed());
}

TEST_P(PairNotifyTest, StoppingCancelsWhatIsPending) {
  Start(kPatient);
  WarmUp();
  SendOne();
  pair.Stop();
  now += seconds(2);
  EXPECT_FALSE(Step().deadline);
  EXPECT_EQ(new_tx(), 0U);
  const NotifiedQueue::Counters counters = pair.counters().tx.queue;
  EXPECT_EQ(counters.packets, 2U) << "counters outlive it";
  EXPECT_EQ(counters.cancelled, 1U);
  EXPECT_EQ(pair.counters().rx.queue.cancelled, 0U) << "nothing was pending";
  const NotificationHistograms& histograms = pair.tx().histograms();
  EXPECT_EQ(histograms.packets.count(), counters.notifications);
}

}  // namespace
}  // namespace net
