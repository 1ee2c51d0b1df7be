// SPDX-License-Identifier: Apache-2.0
//
// Packets that the driver does not want.
#include <algorithm>

#include "tests/net/path/queue_pair_fixture.h"

namespace net {
namespace {

constexpr MacAddress kMine = {2, 0, 0, 0, 0, 1};
constexpr MacAddress kOther = {2, 0, 0, 0, 0, 2};

class FilterPairTest : public QueuePairTest {
 protected:
  FilterPairTest() {
    filter.AddVlan(7);
    SetFilter();
  }
  void SetFilter() {
    pair.rx().SetFilter(std::make_shared<const RxFilter>(filter));
  }
  static Bytes FrameTo(const MacAddress& to, size_t bytes = 60) {
    Bytes frame = Frame(bytes);
    std::copy(to.begin(), to.end(), frame.begin());
    return frame;
  }
  // What the driver has got, header and frame, put together.
  Bytes Taken() {
    Bytes taken;
    while (const auto used = rx.TakeUsed()) taken = Cat(taken, used->bytes);
    return taken;
  }

  RxFilter filter = RxFilter::For(kFilterFeatures | Bit(kFeatureMac), kMine);
};
INSTANTIATE_TEST_SUITE_P(Rings, FilterPairTest, kEveryPair, PairName);

TEST_P(FilterPairTest, WhatIsNotWantedTakesNoBufferAndNoNotification) {
  Start();
  AwaitNext();
  OfferRx();
  for (int i = 0; i < 3 * static_cast<int>(kSize); ++i) {
    port.Receive(Packet(FrameTo(kOther)));
  }
  Step();
  EXPECT_EQ(rx.used_idx(), GetParam().base);
  EXPECT_EQ(rx_injects(), 0U);
  EXPECT_EQ(pair.counters().rx.filtered, 3U * kSize);
  EXPECT_EQ(pair.counters().rx.packets, 0U);
  // The one buffer is still there.
  const Bytes mine = FrameTo(kMine);
  port.Receive(Packet(mine));
  Step();
  EXPECT_EQ(Taken(), Packet(mine, {.num_buffers = 1}));
  EXPECT_EQ(rx_injects(), 1U);
}

TEST_P(FilterPairTest, UnwantedPacketsDoNotKeepTheOthersWaiting) {
  Start();
  OfferRx();
  for (uint32_t i = 0; i < 2 * QueuePath::kBudget; ++i) {
    port.Receive(Packet(FrameTo(kOther)));
  }
  const uint64_t reads = port.read_calls;
  EXPECT_TRUE(pair.Step({.port_readable = true}, clock).again) << "a step ends";
  EXPECT_EQ(port.read_calls, reads + QueuePath::kBudget);
}

TEST_P(FilterPairTest, TheFilterInForceWhenItIsDeliveredCounts) {
  filter.Set(RxMode::kPromisc, true);
  SetFilter();
  Start();
  for (const bool wanted : {true, false}) {
    OfferRx(100);
    const Bytes frame = FrameTo(kOther, 1000);
    port.Receive(Packet(frame));
    Step();
    EXPECT_TRUE(Taken().empty()) << "it waits for more buffers";
    filter.Set(RxMode::kPromisc, wanted);
    SetFilter();
    OfferRx();
    Step();
    EXPECT_EQ(Taken(), wanted ? Packet(frame, {.num_buffers = 2}) : Bytes());
  }
  EXPECT_EQ(pair.counters().rx.filtered, 1U);
}

TEST_P(FilterPairTest, ATagIsSeenWhereverTheBuffersAreCut) {
  Start();
  for (uint32_t first = 26; first < 34; ++first) {
    for (const uint8_t vlan : Bytes{7, 8}) {
      OfferRx(first);
      for (int i = 0; i < 8; ++i) OfferRx(500);
      Bytes frame = FrameTo(kMine);
      const Bytes tag = {0x81, 0, 0, vlan};
      std::copy(tag.begin(), tag.end(), frame.begin() + 12);
      port.Receive(Packet(frame));
      Step();
      const Bytes got = Taken();
      EXPECT_EQ(got.size(), vlan == 7 ? kHeaderBytes + 60 : 0) << first;
      rx.Restart(GetParam().base);
      pair.Stop();
      StartQueue(Direction::kRx);
    }
  }
}

TEST_P(FilterPairTest, WithoutAFilterAllIsWanted) {
  Start();
  pair.rx().SetFilter(nullptr);
  OfferRx();
  const Bytes frame = FrameTo(kOther);
  port.Receive(Packet(frame));
  Step();
  EXPECT_EQ(Taken(), Packet(frame, {.num_buffers = 1}));
}

TEST_P(FilterPairTest, AFilterOutlivesItsQueue) {
  Start();
  pair.Stop();
  rx.Restart(GetParam().base);
  StartQueue(Direction::kRx);
  OfferRx();
  port.Receive(Packet(FrameTo(kOther)));
  Step();
  EXPECT_EQ(pair.counters().rx.filtered, 1U);
}

}  // namespace
}  // namespace net
