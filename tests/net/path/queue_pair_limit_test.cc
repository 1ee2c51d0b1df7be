// SPDX-License-Identifier: Apache-2.0
//
// How large a frame may be, both ways.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "tests/net/path/queue_pair_fixture.h"

namespace net {
namespace {

constexpr VirtioNetHeader kUdp = {.flags = kHeaderNeedsCsum,
                                  .gso_type = kHeaderGsoUdpL4,
                                  .hdr_len = 42,
                                  .gso_size = 1472,
                                  .csum_start = 34,
                                  .csum_offset = 6};

class LimitTest : public QueuePairTest {
 protected:
  static constexpr size_t kLimit = kMtu + 14 + 4 + 4;

  void StartWith(uint64_t more) {
    features |= more;
    Start();
  }

  // Whether the packet comes out as it is; if not, it was counted as over the
  // MTU and cost the driver nothing.
  bool Sends(size_t bytes, const VirtioNetHeader& header = {}) {
    const uint64_t before = pair.counters().tx.bad_length;
    const size_t written = port.written.size();
    OfferTx(Packet(Frame(bytes), header));
    Step();
    const auto used = tx.TakeUsed();
    EXPECT_TRUE(used && used->len == 0);
    if (port.written.size() == written) {
      EXPECT_EQ(pair.counters().tx.bad_length, before + 1);
      return false;
    }
    EXPECT_EQ(port.written.back(), Packet(Frame(bytes), header));
    return true;
  }
  bool Receives(size_t bytes, VirtioNetHeader header = {}) {
    const uint64_t before = pair.counters().rx.over_mtu;
    while (rx.outstanding() < 4) OfferRx(20000);
    port.Receive(Packet(Frame(bytes), header));
    Step();
    Bytes packet;
    while (const auto used = rx.TakeUsed()) packet = Cat(packet, used->bytes);
    if (packet.empty()) {
      EXPECT_EQ(pair.counters().rx.over_mtu, before + 1);
      return false;
    }
    header.num_buffers = packet[10];
    EXPECT_EQ(packet, Packet(Frame(bytes), header));
    return true;
  }
};
INSTANTIATE_TEST_SUITE_P(Rings, LimitTest, kEveryPair, PairName);

TEST_P(LimitTest, Row76_AnMtuLeavesRoomForTwoTags) {
  StartWith(Bit(kFeatureMtu));
  EXPECT_TRUE(Sends(kLimit));
  EXPECT_TRUE(Receives(kLimit));
  for (const size_t bytes : {kLimit + 1, size_t{9014}, kMaxFrameBytes}) {
    EXPECT_FALSE(Sends(bytes)) << bytes;
    EXPECT_FALSE(Receives(bytes)) << bytes;
  }
  EXPECT_TRUE(Sends(60));
  EXPECT_TRUE(Receives(60));
}

TEST_P(LimitTest, Row76_AnMtuBindsOnlyWhoHasNegotiatedIt) {
  StartWith(0);
  for (const size_t bytes : {kLimit + 1, size_t{9014}, kMaxFrameBytes}) {
    EXPECT_TRUE(Sends(bytes)) << bytes;
    EXPECT_TRUE(Receives(bytes)) << bytes;
  }
  EXPECT_FALSE(Sends(kMaxFrameBytes + 1));
}

TEST_P(LimitTest, EachDriverIsBoundByWhatItHasNegotiated) {
  StartWith(0);
  EXPECT_TRUE(Receives(9014));
  RestartWith(Bit(kFeatureMtu));
  EXPECT_FALSE(Receives(9014));
  EXPECT_FALSE(Sends(9014));
  features &= ~Bit(kFeatureMtu);
  RestartWith(0);
  EXPECT_TRUE(Receives(9014));
  EXPECT_TRUE(Sends(9014));
}

TEST_P(LimitTest, WhereSegmentationIsLeftToTheOtherSideSegmentsCount) {
  StartWith(Bit(kFeatureMtu) | kHostOffloads | kGuestOffloads);
  for (VirtioNetHeader header : {kTcp4, kUdp}) {
    const bool udp = header.gso_type == kHeaderGsoUdpL4;
    const size_t headers = header.csum_start + (udp ? 8U : 20U);
    EXPECT_TRUE(Sends(40000, header));
    EXPECT_TRUE(Receives(40000, header));
    header.gso_size = static_cast<uint16_t>(kLimit - headers);
    EXPECT_TRUE(Sends(40000, header));
    EXPECT_TRUE(Receives(40000, header));
    ++header.gso_size;
    EXPECT_FALSE(Sends(40000, header));
    EXPECT_FALSE(Receives(40000, header));
    EXPECT_TRUE(Sends(kLimit, header)) << "it is one segment";
    EXPECT_TRUE(Receives(kLimit, header));
    header.gso_size = 65000;
    EXPECT_FALSE(Sends(60000, header));
    EXPECT_FALSE(Receives(60000, header));
  }
}

TEST_P(LimitTest, AFrameThatWaitsForBuffersIsJudgedAsWell) {
  StartWith(Bit(kFeatureMtu));
  OfferRx(2000);
  port.Receive(Packet(Frame(5000)));
  port.Receive(Packet(Frame(100)));
  Step();
  for (int i = 0; i < 3; ++i) OfferRx(2000);
  Step();
  EXPECT_EQ(pair.counters().rx.over_mtu, 1U);
  const auto used = rx.TakeUsed();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->bytes, Packet(Frame(100), {.num_buffers = 1}));
  EXPECT_FALSE(rx.TakeUsed());
}

TEST_P(LimitTest, LargeFramesThatAreDroppedKeepNothingOfTheirs) {
  StartWith(Bit(kFeatureMtu));
  for (uint8_t i = 0; i < 100; ++i) {
    EXPECT_EQ(Receives(i % 3 == 0 ? 60U + i : 3000U + i), i % 3 == 0) << int{i};
  }
  EXPECT_EQ(pair.counters().rx.packets, 34U);
  EXPECT_EQ(pair.counters().rx.over_mtu, 66U);
}

}  // namespace
}  // namespace net
