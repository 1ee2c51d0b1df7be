// SPDX-License-Identifier: Apache-2.0
//
// A packet that needs more buffers than the driver offers.
#include "tests/net/path/queue_pair_fixture.h"

namespace net {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

class LackTest : public QueuePairTest {
 protected:
  static constexpr Duration kLimit = RxPath::kLackLimit;

  LackTest() { Start(); }

  // A packet of four buffers, of which the driver offers three.
  void LackOne() {
    for (int i = 0; i < 3; ++i) OfferRx(400);
    port.Receive(Packet(Frame(1400)));
  }

  uint64_t overruns() const { return pair.counters().rx.overruns; }
  uint64_t packets() const { return pair.counters().rx.packets; }
};

INSTANTIATE_TEST_SUITE_P(Rings, LackTest, kEveryPair, PairName);

TEST_P(LackTest, Row59_ItIsLostAfterAWhileAndTheNextOneComesIn) {
  LackOne();
  port.Receive(Packet(Frame(60)));
  const Instant due = now + kLimit;
  EXPECT_EQ(Step().deadline, due);
  now = due - nanoseconds(1);
  EXPECT_EQ(Step({.port_readable = true}).deadline, due);
  EXPECT_EQ(overruns(), 0U);
  EXPECT_EQ(packets(), 0U);
  now = due;
  EXPECT_FALSE(Step({}).deadline);
  EXPECT_EQ(overruns(), 1U);
  EXPECT_EQ(packets(), 1U);
  EXPECT_EQ(rx.DrainUsed(), 1U);
}

TEST_P(LackTest, Row59_BuffersThatComeInTimeTakeIt) {
  LackOne();
  const Instant due = now + kLimit;
  Step();
  now += kLimit / 2;
  OfferRx(26);
  EXPECT_TRUE(rx.KickIfWanted());
  EXPECT_EQ(Step({.rx_kick = true}).deadline, due) << "it goes on waiting";
  OfferRx(400);
  EXPECT_TRUE(rx.KickIfWanted());
  EXPECT_FALSE(Step({.rx_kick = true}).deadline);
  EXPECT_EQ(packets(), 1U);
  now += seconds(10);
  EXPECT_FALSE(Step({}).deadline);
  EXPECT_EQ(overruns(), 0U);
}

TEST_P(LackTest, Row59_EachWaitsForItself) {
  LackOne();
  port.Receive(Packet(Frame(1400)));
  Wait wait = Step();
  for (uint64_t lost = 1; lost <= 2; ++lost) {
    ASSERT_TRUE(wait.deadline);
    EXPECT_EQ(*wait.deadline, now + kLimit);
    now = *wait.deadline;
    wait = Step({});
    EXPECT_EQ(overruns(), lost);
  }
  EXPECT_FALSE(wait.deadline);
  EXPECT_TRUE(wait.port_readable);
}

// A driver that has used up all its buffers will offer others, and may be slow.
TEST_P(LackTest, Row59_WithoutAnyBufferItWaitsForAsLongAsThatTakes) {
  LackOne();
  port.Receive(Packet(Frame(60)));
  port.Receive(Packet(Frame(60)));
  Step();
  OfferRx(400);
  Step({.rx_kick = true});
  ASSERT_EQ(rx.DrainUsed(), 4U);
  now += seconds(10);
  EXPECT_FALSE(Step({}).deadline);
  OfferRx();
  OfferRx();
  Step({.rx_kick = true});
  EXPECT_EQ(packets(), 3U);
  EXPECT_EQ(overruns(), 0U);
}

TEST_P(LackTest, Row59_NothingIsDueOnceNothingCanBeReceived) {
  LackOne();
  ASSERT_TRUE(Step().deadline);
  EXPECT_FALSE(Step({.port_gone = true}).deadline);
  pair.SetPort(std::make_unique<tests::ScriptPort>(port));
  EXPECT_TRUE(Step({}).deadline);
  EXPECT_EQ(pair.counters().rx.stale, 0U);
  pair.rx().SetReceiving(false);
  EXPECT_EQ(pair.counters().rx.stale, 1U);
  EXPECT_FALSE(Step({}).deadline);
  pair.rx().SetReceiving(true);
  LackOne();
  now += seconds(1);
  Step();
  EXPECT_EQ(overruns(), 0U) << "the old wait is over";
  pair.rx().Stop();
  EXPECT_FALSE(Step({}).deadline);
}

}  // namespace
}  // namespace net
