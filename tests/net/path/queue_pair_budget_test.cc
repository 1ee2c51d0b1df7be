// SPDX-License-Identifier: Apache-2.0
//
// How much a step does before it comes back.
#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "tests/net/path/queue_pair_fixture.h"

namespace net {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Enough packets and time never to notify by themselves.
constexpr coalesce::Params kPatient{.max_packets = 1000, .max_usecs = 500'000};

class BudgetTest : public QueuePairTest {
 protected:
  static constexpr uint32_t kLarge = 8;
  static constexpr uint32_t kSmall = 24;
  static constexpr Ready kAll = {
      .port_readable = true, .rx_kick = true, .tx_kick = true};

  BudgetTest() : QueuePairTest(128) { features |= kHostOffloads; }

  // The driver has buffers left then.
  void ReceiveLarge(uint32_t packets) {
    for (uint32_t i = 0; i <= packets; ++i) {
      OfferRx(kHeaderBytes + kMaxFrameBytes);
      if (i < packets) port.Receive(Packet(Frame(kMaxFrameBytes)));
    }
  }

  void ReceiveSmall() {
    for (uint32_t i = 0; i < kSmall; ++i) {
      OfferRx();
      port.Receive(Packet(Frame(60)));
    }
  }

  // A clock that goes on by `step` whenever it has told the time.
  std::function<Instant()> Passing(Duration step) {
    return [this, step] {
      ++asked;
      return std::exchange(now, now + step);
    };
  }

  uint64_t rx_due() const {
    return pair.counters().rx.queue.due_to(FlushCause::kTime);
  }

  uint64_t asked = 0;
};

INSTANTIATE_TEST_SUITE_P(Rings, BudgetTest, kEveryPair, PairName);

TEST_P(BudgetTest, Row22_AStepTakesItsBudgetAndComesBack) {
  Start();
  constexpr uint32_t kBudget = QueuePath::kBudget;
  for (uint32_t i = 0; i < 2 * kBudget; ++i) OfferTx(Packet(Frame(60)));
  EXPECT_TRUE(pair.Step({.tx_kick = true}, clock).again);
  EXPECT_EQ(port.written.size(), kBudget);
  EXPECT_TRUE(pair.Step({}, clock).again);
  EXPECT_EQ(port.written.size(), 2 * kBudget);
  EXPECT_FALSE(pair.Step({}, clock).again);
}

TEST_P(BudgetTest, Row132_ReceivingHasItsTurnBetweenTwoBudgetsOfSending) {
  Start();
  for (int i = 0; i < 128; ++i) OfferTx(Packet(Frame(60)));
  OfferRx();
  port.Receive(Packet(Frame(60)));
  EXPECT_TRUE(pair.Step({.port_readable = true, .tx_kick = true}, clock).again);
  EXPECT_TRUE(rx.TakeUsed());
}

TEST_P(BudgetTest, Row132_SendingHasItsTurnBetweenTwoBudgetsOfReceiving) {
  Start();
  for (int i = 0; i < 128; ++i) {
    OfferRx();
    port.Receive(Packet(Frame(60)));
  }
  OfferTx(Packet(Frame(60)));
  EXPECT_TRUE(pair.Step(kAll, clock).again);
  EXPECT_LT(rx.DrainUsed(), 2 * QueuePath::kBudget);
  EXPECT_TRUE(tx.TakeUsed());
}

// The driver fills its ring as fast as it is emptied.
TEST_P(BudgetTest, Row79_AFloodOfBroadcastsLeavesReceivingItsTurn) {
  Start();
  Bytes broadcast = Frame(60);
  std::fill_n(broadcast.begin(), 6, 0xff);
  for (size_t step = 1; step <= 50; ++step) {
    while (tx.outstanding() < 128) OfferTx(Packet(broadcast));
    OfferRx();
    port.Receive(Packet(Frame(60)));
    EXPECT_TRUE(pair.Step(kAll, clock).again);
    EXPECT_EQ(port.written.size(), step * QueuePath::kBudget);
    EXPECT_EQ(tx.DrainUsed(), QueuePath::kBudget);
    EXPECT_EQ(rx.DrainUsed(), 1U);
  }
}

// A step of so many large packets is longer than most delays.
TEST_P(BudgetTest, WhatIsDueDoesNotWaitForTheLastLargePacketReceived) {
  Start(kPatient);
  ReceiveLarge(kLarge);
  pair.Step({.port_readable = true}, Passing(milliseconds(200)));
  EXPECT_EQ(rx.DrainUsed(), kLarge) << "in one step";
  // The first is due when the third has come, the fourth with the sixth.
  EXPECT_EQ(rx_due(), 2U);
  EXPECT_EQ(rx_injects(), GetParam().event_idx ? 1U : 2U);
}

TEST_P(BudgetTest, WhatIsDueDoesNotWaitForTheOtherDirection) {
  Start(kPatient);
  OfferTx(Packet(Frame(kMaxFrameBytes), kTcp4));
  ReceiveLarge(kLarge);
  int before = 0;  // packets that were read before the notification
  port.on_read = [&] { before += tx_injects() == 0 ? 1 : 0; };
  pair.Step({.port_readable = true, .tx_kick = true},
            Passing(milliseconds(200)));
  EXPECT_EQ(before, 2);
  EXPECT_EQ(rx.DrainUsed(), kLarge);
  EXPECT_EQ(tx.DrainUsed(), 1U);
}

TEST_P(BudgetTest, AStepOfSmallPacketsAsksForTheTimeOnce) {
  Start(kPatient);
  for (uint32_t i = 0; i < kSmall; ++i) OfferTx(Packet(Frame(60)));
  ReceiveSmall();
  pair.Step(kAll, Passing(seconds(1)));
  EXPECT_EQ(asked, 1U);
  EXPECT_EQ(tx.DrainUsed(), kSmall);
  EXPECT_EQ(rx.DrainUsed(), kSmall);
}

class PunctualTest : public BudgetTest {
 protected:
  PunctualTest() {
    port.read_batches.clear();
    punctual.SetPort(std::make_unique<tests::ScriptPort>(port));
    ForceDriverOk();
  }

  void StartPunctual(Direction direction, const tests::DriverQueue& queue,
                     uint32_t max_usecs) {
    const coalesce::Params params = {.max_packets = 1000,
                                     .max_usecs = max_usecs};
    StartQueue(punctual, direction, queue, params);
  }

  // All that is there, with that delay.
  void Receive(uint32_t max_usecs, Duration step) {
    StartPunctual(Direction::kRx, rx, max_usecs);
    ReceiveSmall();
    punctual.Step({.port_readable = true}, Passing(step));
    ASSERT_EQ(rx.DrainUsed(), kSmall);
  }
  void Send(uint32_t max_usecs, Duration step) {
    StartPunctual(Direction::kTx, tx, max_usecs);
    for (uint32_t i = 0; i < kSmall; ++i) OfferTx(Packet(Frame(60)));
    punctual.Step({.tx_kick = true}, Passing(step));
    ASSERT_EQ(tx.DrainUsed(), kSmall);
  }
  size_t LargestRead() const { return std::ranges::max(port.read_batches); }
  size_t LargestWrite() const { return std::ranges::max(port.write_batches); }

  static constexpr size_t kFew = 4;
  static constexpr uint32_t kTimeForFew =
      kFew * StepContext::kPacketTime / microseconds(1);
  QueuePair punctual{device, {.mtu = kMtu, .timer_poll = true}};
};

INSTANTIATE_TEST_SUITE_P(Rings, PunctualTest, kEveryPair, PairName);

TEST_P(PunctualTest, ReadsFewPacketsAtOnceShortlyBeforeADeadline) {
  Receive(kTimeForFew, Duration::zero());
  EXPECT_EQ(LargestRead(), std::min(port.at_once, kFew));
}

TEST_P(PunctualTest, ReadsAsManyAsEverWhereTheDeadlineIsFar) {
  Receive(4000, Duration::zero());
  EXPECT_GE(LargestRead(), std::min(port.at_once, 2 * kFew));
}

TEST_P(PunctualTest, SendsFewPacketsAtOnceShortlyBeforeADeadline) {
  Send(kTimeForFew, Duration::zero());
  EXPECT_EQ(LargestWrite(), std::min(port.at_once, kFew));
}

TEST_P(PunctualTest, SendsAsManyAsEverWhereTheDeadlineIsFar) {
  Send(4000, Duration::zero());
  EXPECT_EQ(LargestWrite(), std::min<size_t>(port.at_once, kSmall));
}

TEST_P(PunctualTest, SendsNoMoreThanFitBeforeTheDeadline) {
  // Of 8 packets' time a batch takes 3, then another, then it is over.
  const auto packet = StepContext::kPacketTime;
  Send(static_cast<uint32_t>(8 * packet / microseconds(1)), 3 * packet);
  if (port.at_once < kSmall) return;
  EXPECT_EQ(port.write_batches, (std::vector<size_t>{8, 5, 2, 8, 1}));
}

TEST_P(PunctualTest, ADelayShorterThanAPacketStillGathersAFew) {
  Send(1, microseconds(50));
  EXPECT_EQ(LargestWrite(), std::min(port.at_once, kFew));
  EXPECT_EQ(punctual.counters().tx.queue.due_to(FlushCause::kTime),
            kSmall / kFew);
}

TEST_P(PunctualTest, LooksAtTheTimeAfterEachBatch) {
  Receive(kTimeForFew, microseconds(50));
  EXPECT_EQ(punctual.counters().rx.queue.due_to(FlushCause::kTime), asked - 1);
  EXPECT_GE(asked, kSmall / kFew);
  EXPECT_LE(LargestRead(), kFew) << "the next deadline will be near";
}

TEST_P(PunctualTest, AsksForTheTimeOnceWhereNoPacketWaits) {
  Receive(0, seconds(1));
  EXPECT_EQ(asked, 1U);
}

}  // namespace
}  // namespace net
