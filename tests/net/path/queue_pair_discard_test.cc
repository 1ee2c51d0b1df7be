// SPDX-License-Identifier: Apache-2.0
//
// Packets that waited in the port before there was a driver.
#include <errno.h>
#include <gtest/gtest.h>

#include <memory>

#include "tests/net/path/queue_pair_fixture.h"

namespace net {
namespace {

class DiscardTest : public QueuePairTest {
 protected:
  void Wait(int packets) {
    for (int i = 0; i < packets; ++i) port.Receive(Packet(Frame(60)));
  }
  uint64_t stale() const { return pair.counters().rx.stale; }
};
INSTANTIATE_TEST_SUITE_P(Rings, DiscardTest, kEveryPair, PairName);

TEST_P(DiscardTest, WhatWaitsIsDroppedAndWhatComesLaterIsNot) {
  Wait(1000);
  pair.rx().DiscardQueued();
  Start();
  for (int i = 0; i < 3; ++i) OfferRx();
  Step();
  EXPECT_EQ(stale(), 1000U);
  EXPECT_FALSE(rx.TakeUsed());
  ExpectReceives();
  ExpectTransmits();
  EXPECT_EQ(stale(), 1000U);
}

TEST_P(DiscardTest, WithoutAnOrderNothingIsDropped) {
  Wait(3);
  Start();
  for (int i = 0; i < 3; ++i) OfferRx();
  Step();
  EXPECT_EQ(rx.DrainUsed(), 3U);
  EXPECT_EQ(stale(), 0U);
}

TEST_P(DiscardTest, ItDoesNotWaitForAQueue) {
  Wait(5);
  pair.rx().DiscardQueued();
  Step({});
  EXPECT_EQ(stale(), 5U);
  Start();
  ExpectReceives();
}

TEST_P(DiscardTest, APairThatDoesNotReceiveDropsAsWell) {
  Wait(5);
  pair.rx().SetReceiving(false);
  pair.rx().DiscardQueued();
  Step({});
  EXPECT_EQ(stale(), 5U);
}

TEST_P(DiscardTest, AStepIsBoundedAndTransmittingGoesOn) {
  Start();
  Wait(1000);
  pair.rx().DiscardQueued();
  OfferTx(Packet(Frame(60)));
  EXPECT_TRUE(pair.Step({.tx_kick = true}, clock).again);
  EXPECT_EQ(stale(), kMaxBatch);
  EXPECT_EQ(port.written.size(), 1U);
  Step({});
  EXPECT_EQ(stale(), 1000U);
}

TEST_P(DiscardTest, PacketsThatNeverEndAreNotDroppedForEver) {
  Start();
  for (uint32_t i = 0; i < kSize; ++i) OfferRx();
  port.on_read = [this] { Wait(1); };
  pair.rx().DiscardQueued();
  for (int i = 0; i < 1000; ++i) pair.Step({.port_readable = true}, clock);
  EXPECT_EQ(stale(), RxPath::kMaxDiscard);
  EXPECT_EQ(rx.DrainUsed(), kSize);
}

TEST_P(DiscardTest, AnotherPortHasNothingFromBefore) {
  pair.DropPort();
  pair.rx().DiscardQueued();
  Start();
  OfferRx();
  Wait(1);
  pair.SetPort(std::make_unique<tests::ScriptPort>(port));
  Step();
  EXPECT_EQ(rx.DrainUsed(), 1U);
  EXPECT_EQ(stale(), 0U);
}

TEST_P(DiscardTest, APacketThatThePortCannotHandOverDoesNotEndIt) {
  Start();
  Wait(1);
  port.reads.push_back({.bytes = {}, .error = EINVAL});
  Wait(1);
  pair.rx().DiscardQueued();
  Step({});
  EXPECT_EQ(stale(), 3U);
}

TEST_P(DiscardTest, AnErrorEndsIt) {
  Start();
  port.reads.push_back({.bytes = {}, .error = EIO});
  pair.rx().DiscardQueued();
  Step({});
  EXPECT_EQ(stale(), 0U);
  ExpectReceives();
}

}  // namespace
}  // namespace net
