// SPDX-License-Identifier: Apache-2.0
//
// Packets that leave checksums and segmentation to the other side.
#include <gtest/gtest.h>

#include "tests/net/path/queue_pair_fixture.h"

namespace net {
namespace {

VirtioNetHeader In(VirtioNetHeader header, uint16_t buffers) {
  header.num_buffers = buffers;
  return header;
}

class OffloadPairTest : public QueuePairTest {
 protected:
  void StartWith(uint64_t offloads) {
    features |= offloads;
    Start();
  }

  // A packet over several buffers, put together.
  Bytes TakePacket() {
    Bytes packet;
    while (const auto used = rx.TakeUsed()) {
      packet.insert(packet.end(), used->bytes.begin(), used->bytes.end());
    }
    return packet;
  }
};

TEST_P(OffloadPairTest, ASegmentedPacketMayExceedTheMtu) {
  StartWith(kHostOffloads);
  for (const size_t bytes : {54UL, 9000UL, kMaxFrameBytes}) {
    OfferTx(Packet(Frame(bytes), kTcp4));
    Step();
    ASSERT_FALSE(port.written.empty());
    EXPECT_EQ(port.written.back(), Packet(Frame(bytes), kTcp4));
    ASSERT_TRUE(tx.TakeUsed());
  }
  EXPECT_EQ(pair.counters().tx.gso, 3U);
  EXPECT_EQ(pair.counters().tx.csum, 3U);
}

TEST_P(OffloadPairTest, Row76_AFrameThatIsNotSegmentedMayNot) {
  StartWith(kHostOffloads | Bit(kFeatureMtu));
  VirtioNetHeader header = kTcp4;
  header.gso_type = kHeaderGsoNone;
  OfferTx(Packet(Frame(kMtu + kFrameOverhead + 1), header));
  OfferTx(Packet(Frame(kMaxFrameBytes + 1), kTcp4));
  Step();
  EXPECT_TRUE(port.written.empty());
  EXPECT_EQ(pair.counters().tx.bad_length, 2U);
  ExpectTransmits();
}

TEST_P(OffloadPairTest, Row72_NonsenseIsCountedAndDropped) {
  StartWith(kHostOffloads);
  VirtioNetHeader header = kTcp4;
  header.gso_size = 0;
  OfferTx(Packet(Frame(9000), header));
  Step();
  EXPECT_TRUE(port.written.empty());
  EXPECT_TRUE(tx.TakeUsed());
  EXPECT_EQ(pair.counters().tx.bad_header, 1U);
  ExpectTransmits();
}

TEST_P(OffloadPairTest, ALargePacketFillsAsManyBuffersAsItNeeds) {
  StartWith(kGuestOffloads);
  for (int i = 0; i < 8; ++i) OfferRx(2048);
  // The first comes unexpected, the second does not.
  for (int i = 0; i < 2; ++i) {
    const Bytes frame = Frame(8000, static_cast<uint8_t>(i + 1));
    port.Receive(Packet(frame, kTcp4));
    Step();
    EXPECT_EQ(TakePacket(), Packet(frame, In(kTcp4, 4)));
  }
  EXPECT_EQ(pair.counters().rx.gso, 2U);
  EXPECT_EQ(pair.counters().rx.csum, 2U);
}

TEST_P(OffloadPairTest, LargeAndSmallMayComeInAnyOrder) {
  StartWith(kGuestOffloads);
  for (uint32_t i = 0; i < 200; ++i) {
    const bool large = i % 37 < 3;
    const Bytes frame = Frame(large ? 20000 + i : 60 + i);
    for (int n = 0; n < (large ? 10 : 1); ++n) OfferRx(2048);
    port.Receive(Packet(frame, large ? kTcp4 : VirtioNetHeader{}));
    Step();
    ASSERT_EQ(TakePacket(), Packet(frame, large ? In(kTcp4, 10) : In({}, 1)))
        << i;
  }
}

TEST_P(OffloadPairTest, Row91_WhatTheDriverNoLongerAcceptsIsDropped) {
  StartWith(kGuestOffloads);
  for (int i = 0; i < 4; ++i) OfferRx(2048);
  pair.rx().SetGuestOffloads(Bit(kFeatureGuestCsum));
  port.Receive(Packet(Frame(4000), kTcp4));
  Step();
  EXPECT_EQ(pair.counters().rx.refused, 1U);
  VirtioNetHeader csum = kTcp4;
  csum.gso_type = kHeaderGsoNone;
  csum.gso_size = csum.hdr_len = 0;
  port.Receive(Packet(Frame(100), csum));
  Step();
  EXPECT_EQ(TakePacket(), Packet(Frame(100), In(csum, 1)));
  pair.rx().SetGuestOffloads(0);
  port.Receive(Packet(Frame(100), csum));
  port.Receive(Packet(Frame(60)));
  Step();
  EXPECT_EQ(pair.counters().rx.refused, 2U);
  EXPECT_EQ(TakePacket(), Packet(Frame(60), In({}, 1)));
}

// It waited for buffers while the driver changed its mind.
TEST_P(OffloadPairTest, Row91_APacketThatWaitsIsJudgedWhenItIsDelivered) {
  StartWith(kGuestOffloads);
  OfferRx(2048);
  port.Receive(Packet(Frame(6000), kTcp4));
  Step();
  pair.rx().SetGuestOffloads(0);
  for (int i = 0; i < 3; ++i) OfferRx(2048);
  Step();
  EXPECT_FALSE(rx.TakeUsed());
  EXPECT_EQ(pair.counters().rx.refused, 1U);
  ExpectReceives();
}

// The two directions share nothing.
TEST_P(OffloadPairTest, APacketThatWaitsKeepsItsHeader) {
  StartWith(kGuestOffloads | kHostOffloads);
  OfferRx(2048);
  port.Receive(Packet(Frame(6000), kTcp4));
  Step();
  ExpectTransmits();
  for (int i = 0; i < 3; ++i) OfferRx(2048);
  Step();
  EXPECT_EQ(TakePacket(), Packet(Frame(6000), In(kTcp4, 3)));
}

INSTANTIATE_TEST_SUITE_P(Rings, OffloadPairTest, kEveryPair, PairName);

}  // namespace
}  // namespace net
