// SPDX-License-Identifier: Apache-2.0
//
// From the port to the driver.
#include <errno.h>

#include <algorithm>
#include <memory>

#include "tests/net/path/queue_pair_fixture.h"

namespace net {
namespace {

class RxTest : public QueuePairTest {
 protected:
  RxTest() { Start(); }

  // Takes one used entry per buffer of a packet and puts it together.
  Bytes TakePacket() {
    Bytes packet;
    int buffers = 1;
    for (int taken = 0; taken < buffers; ++taken) {
      const std::optional<tests::UsedEntry> used = rx.TakeUsed();
      if (!used) {
        ADD_FAILURE() << taken << " buffers of " << buffers;
        break;
      }
      if (taken == 0 && used->len >= kHeaderBytes) buffers = used->bytes[10];
      packet = Cat(std::move(packet), used->bytes);
    }
    return packet;
  }

  // A buffer of the driver's that shows what was not written.
  uint64_t OfferPattern(uint32_t bytes) {
    const uint64_t iova = memory.Allocate(bytes);
    std::memset(memory.At(iova), 0xaa, bytes);
    rx.Chain().WritableAt(iova, bytes).Offer();
    return iova;
  }

  // The only chain offered comes back with length 0, and receiving goes on.
  void ExpectReturnedUnused() {
    const uint64_t before = pair.counters().rx.bad_chain;
    const Bytes frame = Frame(60);
    port.Receive(Packet(frame));
    Step();
    EXPECT_EQ(pair.counters().rx.bad_chain, before + 1);
    const std::optional<tests::UsedEntry> used = rx.TakeUsed();
    ASSERT_TRUE(used);
    EXPECT_EQ(used->len, 0U);
    EXPECT_FALSE(rx.TakeUsed());
    OfferRx();
    Step();
    EXPECT_EQ(TakePacket(), Packet(frame, {.num_buffers = 1}));
  }
};

INSTANTIATE_TEST_SUITE_P(Rings, RxTest, kEveryPair, PairName);

TEST_P(RxTest, PacketsComeInWholeAndInOrder) {
  for (uint8_t i = 0; i < 3 * kSize; ++i) {
    OfferRx();
    const Bytes frame = Frame(60 + 20U * i, i);
    port.Receive(Packet(frame));
    Step();
    ASSERT_EQ(TakePacket(), Packet(frame, {.num_buffers = 1})) << int{i};
  }
  EXPECT_EQ(pair.counters().rx.packets, 3U * kSize);
}

TEST_P(RxTest, SeveralPacketsComeInOnOneWakeUp) {
  for (uint8_t i = 0; i < 5; ++i) {
    OfferRx();
    port.Receive(Packet(Frame(60, i)));
  }
  Step();
  for (uint8_t i = 0; i < 5; ++i) {
    EXPECT_EQ(TakePacket(), Packet(Frame(60, i), {.num_buffers = 1}));
  }
}

TEST_P(RxTest, Row81_WithoutBuffersNothingIsReadAndNothingLost) {
  const Bytes frame = Frame(60);
  port.Receive(Packet(frame));
  const Wait wait = Step();
  EXPECT_FALSE(wait.port_readable);
  EXPECT_FALSE(wait.deadline);
  EXPECT_EQ(port.read_calls, 0U);
  Step({.port_readable = true});
  EXPECT_EQ(port.read_calls, 0U);

  OfferRx();
  EXPECT_TRUE(rx.KickIfWanted());
  EXPECT_FALSE(Step({.rx_kick = true}).port_readable)
      << "the one buffer is used up";
  EXPECT_EQ(TakePacket(), Packet(frame, {.num_buffers = 1}));
  OfferRx();
  EXPECT_TRUE(rx.KickIfWanted());
  EXPECT_TRUE(Step({.rx_kick = true}).port_readable);
}

TEST_P(RxTest, Row83_BuffersTooSmallForAnythingComeBackUnused) {
  for (const uint32_t bytes : {0U, 1U, 11U, 12U, 13U, 25U}) {
    rx.Chain().Writable(bytes).Offer();
    ExpectReturnedUnused();
  }
}

TEST_P(RxTest, Row83_ARingFullOfTinyBuffersIsReturnedOnce) {
  for (uint32_t i = 0; i < kSize; ++i) OfferRx(13);
  port.Receive(Packet(Frame(60)));
  EXPECT_FALSE(Step().port_readable);
  EXPECT_EQ(rx.DrainUsed(), kSize);
  EXPECT_EQ(port.read_calls, 0U);
  OfferRx();
  Step();
  EXPECT_EQ(TakePacket(), Packet(Frame(60), {.num_buffers = 1}));
}

TEST_P(RxTest, APacketMayTakeSeveralBuffers) {
  const Bytes frame = Frame(1400);
  for (int i = 0; i < 6; ++i) OfferRx(400);
  port.Receive(Packet(frame));
  Step();
  EXPECT_EQ(TakePacket(), Packet(frame, {.num_buffers = 4}));
  EXPECT_EQ(rx.outstanding(), 2U) << "the driver keeps the others";
  port.Receive(Packet(Frame(60)));
  Step();
  EXPECT_EQ(TakePacket(), Packet(Frame(60), {.num_buffers = 1}));
}

TEST_P(RxTest, APacketThatFillsItsBuffersExactlyTakesNoMore) {
  for (int i = 0; i < 6; ++i) OfferRx(400);
  port.Receive(Packet(Frame(800 - kHeaderBytes)));
  Step();
  EXPECT_EQ(TakePacket(),
            Packet(Frame(800 - kHeaderBytes), {.num_buffers = 2}));
  EXPECT_EQ(rx.outstanding(), 4U);
}

TEST_P(RxTest, Row84_APacketWaitsForTheBuffersItLacks) {
  const Bytes frame = Frame(1400);
  for (int i = 0; i < 3; ++i) OfferRx(400);
  port.Receive(Packet(frame));
  Step();
  EXPECT_FALSE(rx.TakeUsed());
  OfferRx(400);
  EXPECT_TRUE(rx.KickIfWanted());
  Step({.rx_kick = true});
  EXPECT_EQ(TakePacket(), Packet(frame, {.num_buffers = 4}));
  EXPECT_EQ(pair.counters().rx.too_large, 0U);
}

TEST_P(RxTest, Row84_APacketThatNeedsMoreThanTheRingIsLostAlone) {
  for (uint32_t i = 0; i < kSize; ++i) OfferRx(64);
  port.Receive(Packet(Frame(1400)));
  port.Receive(Packet(Frame(60)));
  Step();
  EXPECT_EQ(pair.counters().rx.too_large, 1U);
  EXPECT_EQ(TakePacket(), Packet(Frame(60), {.num_buffers = 2}));
  EXPECT_EQ(rx.outstanding(), kSize - 2);
}

TEST_P(RxTest, Row84_APacketBeyondExpectationTakesMoreBuffersInTheSameStep) {
  const Bytes frame = Frame(9000);
  for (int i = 0; i < 8; ++i) OfferRx(1600);
  port.Receive(Packet(frame));
  port.Receive(Packet(frame));
  Step();
  EXPECT_EQ(TakePacket(), Packet(frame, {.num_buffers = 6}));
  for (int i = 0; i < 6; ++i) OfferRx(1600);
  Step();
  EXPECT_EQ(TakePacket(), Packet(frame, {.num_buffers = 6}));
}

TEST_P(RxTest, Row85_TheHeaderMayLieOverSeveralSegments) {
  rx.Chain().Writable(10).Writable(1).Writable(1).Writable(2000).Offer();
  port.Receive(Packet(Frame(100)));
  Step();
  EXPECT_EQ(TakePacket(), Packet(Frame(100), {.num_buffers = 1}));
}

TEST_P(RxTest, Row87_ABufferThatReachesBeyondMemoryComesBackUnused) {
  const uint64_t iova = memory.Allocate(2048);
  rx.Chain().WritableAt(iova, UINT32_MAX).Offer();
  ExpectReturnedUnused();
}

TEST_P(RxTest, Row88_AReadableDescriptorDoesNotBelongInAnRxChain) {
  rx.Chain().Readable(Bytes(2048)).Offer();
  ExpectReturnedUnused();
  rx.Chain().Readable(Bytes(12)).Writable(2048).Offer();
  ExpectReturnedUnused();
}

TEST_P(RxTest, Row88_OrderIsKeptAroundABufferThatIsNone) {
  OfferRx(400);
  rx.Chain().Readable(Bytes(400)).Offer();
  OfferRx(2048);
  port.Receive(Packet(Frame(1000)));
  Step();
  EXPECT_EQ(rx.TakeUsed()->len, 0U);
  EXPECT_EQ(rx.TakeUsed()->len, 0U);
  EXPECT_EQ(TakePacket(), Packet(Frame(1000), {.num_buffers = 1}));
}

TEST_P(RxTest, Row89_AReadThatIsNoFrameIsDroppedAndItsBufferKept) {
  OfferRx();
  for (const size_t bytes : {1U, 12U, 25U}) port.Receive(Bytes(bytes, 0));
  Step();
  EXPECT_EQ(pair.counters().rx.bad_packet, 3U);
  EXPECT_FALSE(rx.TakeUsed());
  port.Receive({});
  port.Receive(Packet(Frame(14)));
  Step();
  Step();
  EXPECT_EQ(TakePacket(), Packet(Frame(14), {.num_buffers = 1}));
}

TEST_P(RxTest, Row90_AReadThatFillsAllThereIsMayBeCutAndIsDropped) {
  for (int i = 0; i < 4; ++i) OfferRx(32768);
  port.Receive(Packet(Frame(kMaxFrameBytes + 40000)));
  Step();
  EXPECT_EQ(pair.counters().rx.bad_packet, 1U);
  EXPECT_FALSE(rx.TakeUsed());
  port.Receive(Packet(Frame(kMaxFrameBytes)));
  Step();
  EXPECT_EQ(TakePacket(), Packet(Frame(kMaxFrameBytes), {.num_buffers = 3}));
}

TEST_P(RxTest, Row91_APacketWithAnOffloadTheDriverDidNotAcceptIsDropped) {
  OfferRx();
  port.Receive(Packet(Frame(100), {.flags = kHeaderNeedsCsum}));
  port.Receive(Packet(Frame(100), {.gso_type = 1, .gso_size = 50}));
  port.Receive(Packet(Frame(100), {.gso_type = 0x80}));
  port.Receive(Packet(Frame(60)));
  Step();
  EXPECT_EQ(pair.counters().rx.refused, 3U);
  EXPECT_EQ(TakePacket(), Packet(Frame(60), {.num_buffers = 1}));
}

TEST_P(RxTest, Row92_Row148_TheHeaderIsCleanAndNothingBehindIsTouched) {
  const uint64_t iova = OfferPattern(4096);
  const uint64_t untouched = OfferPattern(4096);
  // A TAP may say that a checksum was verified: not our driver's business.
  port.Receive(
      Packet(Frame(60), {.flags = 2, .hdr_len = 0xffff, .csum_start = 0xffff}));
  Step();
  const std::optional<tests::UsedEntry> used = rx.TakeUsed();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->bytes, Packet(Frame(60), {.num_buffers = 1}));
  uint8_t* const end = memory.At(iova) + 4096;
  EXPECT_EQ(std::count(memory.At(iova) + used->len, end, 0xaa),
            static_cast<int64_t>(4096 - used->len));
  EXPECT_EQ(std::count(memory.At(untouched), memory.At(untouched) + 4096, 0xaa),
            4096);
}

// Large packets go straight there.
TEST_P(RxTest, Row124_ABufferTheKernelCannotFillGoesBackWithItsPacket) {
  for (int i = 0; i < 3; ++i) OfferRx(kHeaderBytes + kMaxFrameBytes);
  port.Receive(Packet(Frame(5000)));
  port.reads.push_back({.bytes = {}, .error = EFAULT});
  port.Receive(Packet(Frame(60)));
  Step();
  EXPECT_EQ(TakePacket(), Packet(Frame(5000), {.num_buffers = 1}));
  EXPECT_EQ(pair.counters().rx.bad_packet, 1U);
  EXPECT_EQ(rx.TakeUsed()->len, 0U);
  EXPECT_EQ(TakePacket(), Packet(Frame(60), {.num_buffers = 1}));
}

// The kernel says EINVAL of a packet that no header can describe, and drops it.
TEST_P(RxTest, Row80_APacketThatThePortCannotHandOverIsCountedAndTheNextComes) {
  for (int i = 0; i < 4; ++i) OfferRx();
  port.Receive(Packet(Frame(60, 1)));
  for (int i = 0; i < 3; ++i) {
    port.reads.push_back({.bytes = {}, .error = EINVAL});
  }
  port.Receive(Packet(Frame(60, 2)));
  Step();
  EXPECT_EQ(TakePacket(), Packet(Frame(60, 1), {.num_buffers = 1}));
  EXPECT_EQ(TakePacket(), Packet(Frame(60, 2), {.num_buffers = 1}));
  EXPECT_EQ(pair.counters().rx.bad_packet, 3U);
}

TEST_P(RxTest, Row80_AReadThatFailsForTheMomentLosesNothing) {
  OfferRx();
  for (const int error : {EIO, ENOMEM}) {
    port.reads.push_back({.bytes = {}, .error = error});
    EXPECT_TRUE(Step().port_readable);
  }
  port.Receive(Packet(Frame(60)));
  Step();
  EXPECT_EQ(TakePacket(), Packet(Frame(60), {.num_buffers = 1}));
  EXPECT_EQ(pair.counters().rx.bad_packet, 0U);
}

TEST_P(RxTest, APortThatIsGoneIsNotWatched) {
  OfferRx();
  port.reads.push_back({.bytes = {}, .error = EBADFD});
  EXPECT_FALSE(Step().port_readable);
  EXPECT_TRUE(pair.port_lost());
  pair.SetPort(std::make_unique<tests::ScriptPort>(port));
  port.Receive(Packet(Frame(60)));
  EXPECT_FALSE(Step({}).port_readable);
  EXPECT_EQ(TakePacket(), Packet(Frame(60), {.num_buffers = 1}));
}

TEST_P(RxTest, Row23_ARingThatNamesNoDescriptorStopsAloneAndForGood) {
  OfferRx();
  const uint16_t first = GetParam().base & (kSize - 1);
  rx.StoreAvail(vduse::kAvailRing + first, kSize);
  port.Receive(Packet(Frame(60)));
  const Wait wait = Step();
  EXPECT_FALSE(wait.port_readable);
  EXPECT_NE(pair.rx().broken_reason(), "");
  rx.StoreAvail(vduse::kAvailRing + first, 0);
  Step();
  EXPECT_EQ(port.read_calls, 0U);
  ExpectTransmits();
}

TEST_P(RxTest, Row53_KicksForNothingDoNothing) {
  for (int i = 0; i < 3; ++i) Step();
  EXPECT_FALSE(rx.TakeUsed());
  EXPECT_EQ(port.write_calls, 0U);
  pair.Stop();
  const Wait wait = Step();
  EXPECT_FALSE(wait.port_readable || wait.port_writable || wait.deadline);
}

TEST_P(RxTest, Row146_NothingIsWrittenOnceStopped) {
  OfferRx();
  OfferTx(Packet(Frame(60)));
  port.Receive(Packet(Frame(60)));
  const Bytes before = device.Peek(tests::DriverMemory::kStart, 64 << 10);
  const uint64_t injects = rx_injects() + tx_injects();
  pair.Stop();
  EXPECT_FALSE(pair.rx().running() || pair.tx().running());
  now += std::chrono::seconds(5);
  Step();
  EXPECT_EQ(device.Peek(tests::DriverMemory::kStart, 64 << 10), before);
  EXPECT_EQ(rx_injects() + tx_injects(), injects);
  EXPECT_EQ(port.read_calls + port.write_calls, 0U);
}

// Without MRG_RXBUF.
class RxSingleTest : public RxTest {
 protected:
  RxSingleTest() {
    pair.Stop();
    features &= ~Bit(kFeatureMrgRxbuf);
    StartQueue(Direction::kRx);
  }
};

INSTANTIATE_TEST_SUITE_P(Rings, RxSingleTest, kEveryPair, PairName);

TEST_P(RxSingleTest, Row86_APacketHasOneBufferAndSaysSo) {
  for (const size_t bytes : {14U, 1000U, 1518U}) {
    OfferRx(1530);
    OfferRx(1530);
    port.Receive(Packet(Frame(bytes)));
    Step();
    EXPECT_EQ(TakePacket(), Packet(Frame(bytes), {.num_buffers = 1}));
  }
}

TEST_P(RxSingleTest, ABufferBelowAFullFrameStillTakesWhatFits) {
  OfferRx(112);
  port.Receive(Packet(Frame(100)));
  Step();
  EXPECT_EQ(TakePacket(), Packet(Frame(100), {.num_buffers = 1}));
}

TEST_P(RxSingleTest, Row84_APacketBeyondItsOneBufferIsLostAlone) {
  OfferRx(112);
  OfferRx(2048);
  port.Receive(Packet(Frame(101)));
  port.Receive(Packet(Frame(100)));
  port.Receive(Packet(Frame(2037)));
  port.Receive(Packet(Frame(2036)));
  Step();
  EXPECT_EQ(pair.counters().rx.too_large, 2U);
  EXPECT_EQ(TakePacket(), Packet(Frame(100), {.num_buffers = 1}));
  EXPECT_EQ(TakePacket(), Packet(Frame(2036), {.num_buffers = 1}));
}

}  // namespace
}  // namespace net
