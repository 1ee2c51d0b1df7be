// SPDX-License-Identifier: Apache-2.0
//
// Several packets at once: what goes wrong with one is not felt by the others,
// and order is kept.
#include <errno.h>
#include <gtest/gtest.h>

#include "tests/net/path/queue_pair_fixture.h"

namespace net {
namespace {

constexpr VirtioNetHeader kCsum = {
    .flags = kHeaderNeedsCsum, .csum_start = 34, .csum_offset = 16};

class BatchTest : public QueuePairTest {
 protected:
  BatchTest() {
    port.at_once = kMaxBatch;
    features |= Bit(kFeatureGuestCsum) | Bit(kFeatureGuestTso4);
  }
  void SetUp() override { Start(); }

  // Until the pair reads as many packets at once as the ring holds.
  void Warm() {
    for (uint32_t i = 1; i < kSize; ++i) {
      OfferRx();
      port.Receive(Packet(Frame(60)));
    }
    Step();
    ASSERT_EQ(port.read_batches, (std::vector<size_t>{1, 2, 4, 8}));
    ASSERT_EQ(rx.DrainUsed(), kSize - 1);
    port.read_batches.clear();
  }

  void OfferAll(uint32_t count = kSize) {
    for (uint32_t i = 0; i < count; ++i) OfferRx();
  }

  // The next packet is the frame that `seed` tells, of `bytes`.
  void ExpectPacket(uint8_t seed, size_t bytes = 60) {
    std::optional<tests::UsedEntry> used = rx.TakeUsed();
    ASSERT_TRUE(used);
    VirtioNetHeader header;
    ASSERT_GE(used->bytes.size(), kHeaderBytes);
    std::memcpy(&header, used->bytes.data(), kHeaderBytes);
    Bytes frame(used->bytes.begin() + kHeaderBytes, used->bytes.end());
    for (uint16_t i = 1; i < header.num_buffers; ++i) {
      used = rx.TakeUsed();
      ASSERT_TRUE(used);
      frame = Cat(frame, used->bytes);
    }
    EXPECT_EQ(frame, Frame(bytes, seed));
  }
};

TEST_P(BatchTest, WhatIsThereGoesOutTogether) {
  for (uint8_t i = 0; i < 7; ++i) OfferTx(Packet(Frame(60, i)));
  Step();
  EXPECT_EQ(port.write_batches, (std::vector<size_t>{7}));
  for (uint8_t i = 0; i < 7; ++i) {
    EXPECT_EQ(port.written.at(i), Packet(Frame(60, i)));
  }
  EXPECT_EQ(tx.DrainUsed(), 7U);
}

TEST_P(BatchTest, FramesOfAnyLengthAndCutGoOutAsTheyAre) {
  for (const size_t bytes : {14UL, 60UL, 1514UL, 1518UL}) {
    const Bytes packet = Packet(Frame(bytes));
    OfferTx(packet);
    tx.Chain()
        .Readable(std::span(packet).first(5))
        .Readable(std::span(packet).subspan(5, 10))
        .Readable(std::span(packet).subspan(15))
        .Offer();
    Step();
    ASSERT_GE(port.written.size(), 2U);
    EXPECT_EQ(port.written.at(port.written.size() - 1), packet);
    EXPECT_EQ(port.written.at(port.written.size() - 2), packet);
    EXPECT_EQ(tx.DrainUsed(), 2U);
  }
}

TEST_P(BatchTest, ABadPacketAmongThemIsDroppedAlone) {
  OfferTx(Packet(Frame(60, 1)));
  OfferTx(Packet(Frame(60, 2), kCsum));  // not negotiated this way
  tx.Chain().Writable(100).Offer();
  OfferTx(Packet(Frame(60, 3)));
  Step();
  ASSERT_EQ(port.written.size(), 2U);
  EXPECT_EQ(port.written[0], Packet(Frame(60, 1)));
  EXPECT_EQ(port.written[1], Packet(Frame(60, 3)));
  EXPECT_EQ(tx.DrainUsed(), 4U);
  EXPECT_EQ(pair.counters().tx.bad_header, 1U);
  EXPECT_EQ(pair.counters().tx.bad_chain, 1U);
}

TEST_P(BatchTest, WhatCannotGoOutBehindOthersWaits) {
  for (uint8_t i = 0; i < 4; ++i) OfferTx(Packet(Frame(60, i)));
  port.write_errors = {0, EAGAIN, EAGAIN, EAGAIN};
  EXPECT_TRUE(Step({.tx_kick = true}).port_writable);
  EXPECT_EQ(tx.DrainUsed(), 1U);
  EXPECT_FALSE(Step({.port_writable = true}).port_writable);
  EXPECT_EQ(tx.DrainUsed(), 3U);
  ASSERT_EQ(port.written.size(), 4U);
  for (uint8_t i = 0; i < 4; ++i) {
    EXPECT_EQ(port.written[i], Packet(Frame(60, i)));
  }
  EXPECT_EQ(pair.counters().tx.port_drops, 0U);
}

TEST_P(BatchTest, WhatALaterOneOvertookIsLostRatherThanLate) {
  for (uint8_t i = 0; i < 3; ++i) OfferTx(Packet(Frame(60, i)));
  port.write_errors = {0, EAGAIN, 0};
  Step();
  EXPECT_EQ(tx.DrainUsed(), 3U);
  ASSERT_EQ(port.written.size(), 2U);
  EXPECT_EQ(port.written[1], Packet(Frame(60, 2)));
  EXPECT_EQ(pair.counters().tx.port_drops, 1U);
}

TEST_P(BatchTest, ReadsGrowWithWhatComesAndShrinkWithIt) {
  Warm();
  OfferAll();
  for (uint8_t i = 0; i < 3; ++i) port.Receive(Packet(Frame(60, i)));
  Step({.port_readable = true, .rx_kick = true});
  EXPECT_EQ(port.read_batches, (std::vector<size_t>{16}));
  for (uint8_t i = 0; i < 3; ++i) ExpectPacket(i);
  Step({.port_readable = true});
  EXPECT_EQ(port.read_batches, (std::vector<size_t>{16, 4}));
  Step({.port_readable = true});
  EXPECT_EQ(port.read_batches, (std::vector<size_t>{16, 4, 1}));
  EXPECT_EQ(rx.outstanding(), 13U);
}

TEST_P(BatchTest, AReadThatCameTooEarlyLeavesNoGap) {
  Warm();
  OfferAll();
  port.Receive(Packet(Frame(60, 1)));
  port.reads.push_back({.bytes = {}, .error = EAGAIN});
  port.Receive(Packet(Frame(700, 2)));
  port.Receive(Packet(Frame(60, 3)));
  Step();
  ExpectPacket(1);
  ExpectPacket(2, 700);
  ExpectPacket(3);
  EXPECT_FALSE(rx.TakeUsed());
  EXPECT_EQ(rx.outstanding(), 13U);
}

TEST_P(BatchTest, APacketTheDriverMustNotGetLeavesNoGap) {
  Warm();
  OfferAll();
  pair.rx().SetGuestOffloads(0);
  port.Receive(Packet(Frame(60, 1)));
  port.Receive(Packet(Frame(60, 2), kCsum));
  port.Receive(Packet(Frame(60, 3)));
  port.Receive(Bytes(20));
  port.Receive(Packet(Frame(60, 4)));
  Step();
  ExpectPacket(1);
  ExpectPacket(3);
  ExpectPacket(4);
  EXPECT_FALSE(rx.TakeUsed());
  EXPECT_EQ(pair.counters().rx.refused, 1U);
  EXPECT_EQ(pair.counters().rx.bad_packet, 1U);
}

// A small buffer takes the place of one whose packet was dropped.
TEST_P(BatchTest, WhatDoesNotFitTheGapWaitsForTheNext) {
  Warm();
  pair.rx().SetGuestOffloads(0);
  OfferRx(1600);
  OfferRx(2048);
  OfferAll(8);
  port.Receive(Packet(Frame(60, 1), kCsum));
  port.Receive(Packet(Frame(1800, 2)));
  port.Receive(Packet(Frame(60, 3)));
  Step();
  ExpectPacket(2, 1800);
  ExpectPacket(3);
  EXPECT_FALSE(rx.TakeUsed());
}

TEST_P(BatchTest, WithoutMergeableBuffersItIsNotCutForTheGap) {
  pair.Stop();
  rx.Restart(0);
  features &= ~Bit(kFeatureMrgRxbuf);
  StartQueue(Direction::kRx);
  Warm();
  pair.rx().SetGuestOffloads(0);
  OfferRx(1600);
  OfferRx(2048);
  OfferAll(8);
  port.Receive(Packet(Frame(60, 1), kCsum));
  port.Receive(Packet(Frame(1800, 2)));
  port.Receive(Packet(Frame(60, 3)));
  Step();
  ExpectPacket(3);
  EXPECT_FALSE(rx.TakeUsed());
  EXPECT_EQ(pair.counters().rx.too_large, 1U);
}

TEST_P(BatchTest, ALargePacketAmongSmallOnesKeepsItsPlace) {
  Warm();
  OfferAll();
  port.Receive(Packet(Frame(60, 1)));
  port.Receive(Packet(Frame(5000, 2)));
  port.Receive(Packet(Frame(60, 3)));
  port.Receive(Packet(Frame(9000, 4)));
  port.Receive(Packet(Frame(60, 5)));
  Step();
  ExpectPacket(1);
  ExpectPacket(2, 5000);
  ExpectPacket(3);
  ExpectPacket(4, 9000);
  ExpectPacket(5);
  EXPECT_FALSE(rx.TakeUsed());
  EXPECT_EQ(pair.counters().rx.packets, kSize - 1 + 5U);
}

TEST_P(BatchTest, WhatFindsTooFewBuffersWaitsForMore) {
  Warm();
  OfferAll(4);
  port.Receive(Packet(Frame(60, 1)));
  port.Receive(Packet(Frame(9000, 2)));
  port.Receive(Packet(Frame(60, 3)));
  EXPECT_FALSE(Step().port_readable);
  ExpectPacket(1);
  EXPECT_FALSE(rx.TakeUsed());
  OfferAll(4);
  EXPECT_TRUE(rx.KickIfWanted());
  Step({.rx_kick = true});
  ExpectPacket(2, 9000);
  ExpectPacket(3);
  EXPECT_EQ(pair.counters().rx.too_large, 0U);
}

TEST_P(BatchTest, AnUnusableBufferAmongThemIsReturnedInItsPlace) {
  Warm();
  OfferAll(2);
  OfferRx(13);
  OfferAll(2);
  for (uint8_t i = 1; i <= 4; ++i) port.Receive(Packet(Frame(60, i)));
  Step();
  ExpectPacket(1);
  ExpectPacket(2);
  const auto unused = rx.TakeUsed();
  ASSERT_TRUE(unused);
  EXPECT_EQ(unused->len, 0U);
  ExpectPacket(3);
  ExpectPacket(4);
}

TEST_P(BatchTest, AStoppedQueueForgetsWhatWaited) {
  Warm();
  OfferAll(2);
  port.Receive(Packet(Frame(60, 1)));
  port.Receive(Packet(Frame(9000, 2)));
  Step();
  EXPECT_EQ(pair.counters().rx.stale, 0U);
  pair.rx().Stop();
  EXPECT_EQ(pair.counters().rx.stale, 1U);
  rx.Restart(0);
  StartQueue(Direction::kRx);
  OfferAll(8);
  port.Receive(Packet(Frame(60, 3)));
  Step();
  ExpectPacket(3);
  EXPECT_FALSE(rx.TakeUsed());
}

TEST_P(BatchTest, WhilePollingNoKickIsAskedFor) {
  Step();
  OfferTx(Packet(Frame(60, 1)));
  EXPECT_TRUE(tx.KickIfWanted());
  EXPECT_TRUE(pair.Step({.tx_kick = true, .polling = true}, clock).again);
  OfferTx(Packet(Frame(60, 2)));
  EXPECT_FALSE(tx.KickIfWanted());
  const Wait wait = pair.Step({.tx_kick = true, .polling = true}, clock);
  EXPECT_TRUE(wait.worked);
  EXPECT_EQ(port.written.size(), 2U);
  EXPECT_FALSE(pair.Step({.tx_kick = true, .polling = true}, clock).worked);
  EXPECT_FALSE(pair.Step({}, clock).again);
  OfferTx(Packet(Frame(60, 3)));
  EXPECT_TRUE(tx.KickIfWanted());
}

INSTANTIATE_TEST_SUITE_P(Rings, BatchTest, kEveryPair, PairName);

}  // namespace
}  // namespace net
