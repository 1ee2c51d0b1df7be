// SPDX-License-Identifier: Apache-2.0
//
// How much a step does before it comes back.
#include "tests/net/queue_pair_fixture.h"

namespace net {
namespace {

// Enough packets and time never to notify by themselves.
constexpr coalesce::Params kPatient{.max_packets = 1000, .max_usecs = 500'000};

class BudgetTest : public QueuePairTest {
 protected:
  static constexpr uint32_t kLarge = 8;  // packets

  BudgetTest() : QueuePairTest(128) { features |= kHostOffloads; }

  void OfferLarge() {
    for (uint32_t i = 0; i < kLarge; ++i) {
      OfferTx(Packet(Frame(kMaxFrameBytes), kTcp4));
    }
  }
  void ReceiveLarge() {
    for (uint32_t i = 0; i < kLarge; ++i) {
      OfferRx(kHeaderBytes + kMaxFrameBytes);
      port.Receive(Packet(Frame(kMaxFrameBytes)));
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Rings, BudgetTest, kEveryPair, PairName);

TEST_P(BudgetTest, Row22_AStepTakesItsBudgetAndComesBack) {
  Start();
  for (int i = 0; i < 128; ++i) OfferTx(Packet(Frame(60)));
  EXPECT_TRUE(pair.Step({.tx_kick = true}, now).again);
  EXPECT_EQ(port.written.size(), QueuePair<tests::ScriptPort>::kBudget);
  EXPECT_TRUE(pair.Step({}, now).again);
  EXPECT_EQ(port.written.size(), 128U);
  EXPECT_FALSE(pair.Step({}, now).again);
}

TEST_P(BudgetTest, Row132_ReceivingHasItsTurnBetweenTwoBudgetsOfSending) {
  Start();
  for (int i = 0; i < 128; ++i) OfferTx(Packet(Frame(60)));
  OfferRx();
  port.Receive(Packet(Frame(60)));
  EXPECT_TRUE(pair.Step({.port_readable = true, .tx_kick = true}, now).again);
  EXPECT_TRUE(rx.TakeUsed());
}

// A step of 64 large packets would be longer than most delays.
TEST_P(BudgetTest, ALargePacketReceivedEndsAStepWherePacketsWait) {
  Start(kPatient);
  ReceiveLarge();
  EXPECT_TRUE(pair.Step({.port_readable = true}, now).again);
  EXPECT_EQ(rx.DrainUsed(), 1U);
  now += std::chrono::seconds(1);
  const uint64_t before = rx_injects();
  pair.Step({}, now);
  EXPECT_EQ(rx_injects(), before + 1);
  Step({});
  EXPECT_EQ(rx.DrainUsed(), kLarge - 1);
}

TEST_P(BudgetTest, ALargePacketSentEndsAStepWherePacketsWait) {
  Start(kPatient);
  OfferLarge();
  EXPECT_TRUE(pair.Step({.tx_kick = true}, now).again);
  EXPECT_EQ(tx.DrainUsed(), 1U);
  now += std::chrono::seconds(1);
  const uint64_t before = tx_injects();
  pair.Step({}, now);
  EXPECT_EQ(tx_injects(), before + 1);
  Step({});
  EXPECT_EQ(tx.DrainUsed(), kLarge - 1);
}

TEST_P(BudgetTest, WithoutCoalescingLargePacketsAreOneStep) {
  Start();
  ReceiveLarge();
  OfferLarge();
  pair.Step({.port_readable = true, .tx_kick = true}, now);
  EXPECT_EQ(rx.DrainUsed(), kLarge);
  EXPECT_EQ(tx.DrainUsed(), kLarge);
}

}  // namespace
}  // namespace net
