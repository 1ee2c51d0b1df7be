// SPDX-License-Identifier: Apache-2.0
//
// From the driver to the port.
#include <errno.h>

#include <algorithm>
#include <memory>

#include "tests/net/path/queue_pair_fixture.h"

namespace net {
namespace {

using std::chrono::milliseconds;
using Words = std::vector<uint16_t>;

class TxTest : public QueuePairTest {
 protected:
  TxTest() { Start(); }

  // Nothing of the only chain offered reaches the port, the driver gets it
  // back with length 0, and the next packet passes.
  void ExpectDropped(uint64_t TxCounters::*counter) {
    const uint64_t before = pair.tx().counters().*counter;
    const size_t written = port.written.size();
    Step();
    EXPECT_EQ(port.written.size(), written);
    EXPECT_EQ(pair.tx().counters().*counter, before + 1);
    const std::optional<tests::UsedEntry> used = tx.TakeUsed();
    ASSERT_TRUE(used);
    EXPECT_EQ(used->len, 0U);
    ExpectTransmits();
  }
};

INSTANTIATE_TEST_SUITE_P(Rings, TxTest, kEveryPair, PairName);

TEST_P(TxTest, PacketsGoOutWholeAndInOrder) {
  std::vector<Bytes> sent;
  for (uint8_t i = 0; i < 3 * kSize; ++i) {
    sent.push_back(Packet(Frame(60 + i, i)));
    OfferTx(sent.back());
    Step();
    ASSERT_TRUE(tx.TakeUsed());
  }
  EXPECT_EQ(port.written, sent);
  EXPECT_EQ(pair.counters().tx.packets, 3U * kSize);
  EXPECT_EQ(tx.outstanding(), 0U);
}

TEST_P(TxTest, AWholeRingGoesOutOnOneKick) {
  for (uint8_t i = 0; i < kSize; ++i) OfferTx(Packet(Frame(100, i)));
  Step();
  EXPECT_EQ(port.written.size(), kSize);
  EXPECT_EQ(tx.DrainUsed(), kSize);
}

TEST_P(TxTest, Row67_WhatCannotHoldAHeaderIsDropped) {
  for (const size_t bytes : {1U, 11U}) {
    OfferTx(Bytes(bytes, 0));
    ExpectDropped(&TxCounters::bad_chain);
  }
}

TEST_P(TxTest, Row67_AHeaderAloneIsDropped) {
  OfferTx(Bytes(kHeaderBytes, 0));
  ExpectDropped(&TxCounters::bad_length);
}

TEST_P(TxTest, Row68_AHeaderMayBeCutAnywhere) {
  const Bytes frame = Frame(100);
  const Bytes packet = Packet(frame);
  for (size_t parts = 2; parts <= kHeaderBytes; ++parts) {
    tests::ChainBuilder chain = tx.Chain();
    for (size_t i = 0; i + 1 < parts; ++i) {
      chain.Readable(std::span(packet).subspan(i, 1));
    }
    chain.Readable(std::span(packet).subspan(parts - 1)).Offer();
    Step();
    ASSERT_EQ(port.written.size(), parts - 1);
    EXPECT_EQ(port.written.back(), packet);
    ASSERT_TRUE(tx.TakeUsed());
  }
}

TEST_P(TxTest, Row69_TheDriversHeaderIsNeverHandedOn) {
  const Bytes frame = Frame(100);
  const uint16_t head = tx.Chain()
                            .Readable(HeaderBytes({.hdr_len = 0xffff,
                                                   .gso_size = 0xffff,
                                                   .csum_start = 0xffff,
                                                   .csum_offset = 0xffff}))
                            .Readable(frame)
                            .Offer();
  // The driver changes its mind after its header was judged.
  port.on_write = [&] {
    *memory.At(tx.desc(head).addr) = kHeaderNeedsCsum;
    *memory.At(tx.desc(head).addr + 1) = 1;
  };
  Step();
  ASSERT_EQ(port.written.size(), 1U);
  EXPECT_EQ(port.written[0], Packet(frame));
}

TEST_P(TxTest, Row70_AChecksumIsNotMadeUnlessNegotiated) {
  for (const uint16_t start : Words{0, 13, 14, 99, 100, 65535}) {
    OfferTx(Packet(Frame(100), {.flags = kHeaderNeedsCsum,
                                .csum_start = start,
                                .csum_offset = start}));
    ExpectDropped(&TxCounters::bad_header);
  }
}

TEST_P(TxTest, Row71_NoSegmentationIsDoneUnlessNegotiated) {
  for (const int type : {1, 3, 4, 5, 2, 0x80, 0x81, 0xff}) {
    for (const uint16_t gso_size : Words{0, 1, 1448, 65535}) {
      OfferTx(Packet(Frame(1000), {.gso_type = static_cast<uint8_t>(type),
                                   .gso_size = gso_size}));
      ExpectDropped(&TxCounters::bad_header);
    }
  }
}

TEST_P(TxTest, Row74_FlagsWithoutMeaningHereAreMasked) {
  const Bytes frame = Frame(100);
  for (const uint8_t flags : Bytes{0x02, 0x04, 0x80, 0xfe}) {
    OfferTx(Packet(frame, {.flags = flags, .num_buffers = 0xffff}));
    Step();
    EXPECT_EQ(port.written.back(), Packet(frame));
    ASSERT_TRUE(tx.TakeUsed());
  }
  EXPECT_EQ(port.written.size(), 4U);
}

TEST_P(TxTest, Row75_AFrameWithoutAWholeEthernetHeaderIsDropped) {
  for (const size_t bytes : {1U, 13U}) {
    OfferTx(Packet(Frame(bytes)));
    ExpectDropped(&TxCounters::bad_length);
  }
  OfferTx(Packet(Frame(14)));
  Step();
  EXPECT_EQ(port.written.back(), Packet(Frame(14)));
}

TEST_P(TxTest, Row76_AFrameBeyondTheMtuIsDropped) {
  RestartWith(Bit(kFeatureMtu));
  for (const size_t bytes :
       {size_t{kMtu} + kFrameOverhead + 1, size_t{65536}}) {
    OfferTx(Packet(Frame(bytes)));
    ExpectDropped(&TxCounters::bad_length);
  }
  OfferTx(Packet(Frame(kMtu + kFrameOverhead)));
  Step();
  EXPECT_EQ(port.written.back(), Packet(Frame(kMtu + kFrameOverhead)));
}

TEST_P(TxTest, Row76_AFrameSaidToBeOf4GiBIsDropped) {
  const uint64_t iova = memory.Allocate(64);
  tx.Chain().ReadableAt(iova, UINT32_MAX).Offer();
  ExpectDropped(&TxCounters::bad_chain);
  tx.Chain().ReadableAt(iova, 3 << 20).ReadableAt(iova, 3 << 20).Offer();
  ExpectDropped(&TxCounters::bad_length);
}

TEST_P(TxTest, Row77_AThousandPiecesOfOneByteAreAPacket) {
  const Bytes packet = Packet(Frame(988));
  const uint64_t iova = memory.Allocate(packet.size());
  std::memcpy(memory.At(iova), packet.data(), packet.size());
  tests::ChainBuilder chain = tx.Chain();
  chain.Indirect();
  for (size_t i = 0; i < packet.size(); ++i) chain.ReadableAt(iova + i, 1);
  chain.Offer();
  Step();
  ASSERT_EQ(port.written.size(), 1U);
  EXPECT_EQ(port.written[0], packet);
  EXPECT_TRUE(tx.TakeUsed());
}

TEST_P(TxTest, Row77_MorePiecesThanOneWriteTakesAreDropped) {
  const uint64_t iova = memory.Allocate(64);
  tests::ChainBuilder chain = tx.Chain();
  chain.Indirect();
  for (int i = 0; i < 1023; ++i) chain.ReadableAt(iova, 1);
  chain.Offer();
  ExpectDropped(&TxCounters::bad_chain);
}

TEST_P(TxTest, Row78_BuffersMayAliasEachOtherAndTheRing) {
  const Bytes header = HeaderBytes({});
  const uint64_t iova = memory.Allocate(64);
  std::memset(memory.At(iova), 0, 64);
  tx.Chain()
      .Readable(header)
      .ReadableAt(iova, 40)
      .ReadableAt(iova, 40)
      .ReadableAt(tx.info().desc_addr, 64)
      .ReadableAt(tx.info().device_addr, 16)
      .Offer();
  Step();
  ASSERT_EQ(port.written.size(), 1U);
  EXPECT_EQ(port.written[0].size(), kHeaderBytes + 40 + 40 + 64 + 16);
  EXPECT_TRUE(tx.TakeUsed());
  ExpectTransmits();
}

// Which addresses a driver may use is for the network to judge.
TEST_P(TxTest, Row79_AFrameFromAnyAddressToAnyIsSentAsItIs) {
  uint64_t bytes = 0;
  for (const uint8_t address : Bytes{0x00, 0x01, 0x02, 0xff}) {
    Bytes frame = Frame(60);
    std::fill_n(frame.begin(), 6, 0xff);
    std::fill_n(frame.begin() + 6, 6, address);
    OfferTx(Packet(frame));
    Step();
    ASSERT_FALSE(port.written.empty());
    EXPECT_EQ(port.written.back(), Packet(frame));
    ASSERT_TRUE(tx.TakeUsed());
    bytes += frame.size();
  }
  EXPECT_EQ(pair.counters().tx.packets, 4U);
  EXPECT_EQ(pair.counters().tx.bytes, bytes);
}

TEST_P(TxTest, Row39_AWritableDescriptorDoesNotBelongInATxChain) {
  tx.Chain().Readable(Packet(Frame(60))).Writable(10).Offer();
  ExpectDropped(&TxCounters::bad_chain);
  tx.Chain().Writable(100).Offer();
  ExpectDropped(&TxCounters::bad_chain);
}

TEST_P(TxTest, Row33_AnAddressWithNothingBehindItIsDropped) {
  tx.Chain().Readable(HeaderBytes({})).ReadableAt(0x7000000000, 60).Offer();
  ExpectDropped(&TxCounters::bad_chain);
}

TEST_P(TxTest, Row80_AFullPortHoldsThePacketUntilItHasRoom) {
  port.write_errors = {EAGAIN};
  OfferTx(Packet(Frame(60)));
  const Wait wait = Step();
  EXPECT_TRUE(wait.port_writable);
  EXPECT_EQ(wait.deadline, now + TxPath::kBlockedLimit);
  EXPECT_FALSE(tx.TakeUsed());

  now += milliseconds(5);
  const Wait after = Step({.port_writable = true});
  EXPECT_FALSE(after.port_writable);
  EXPECT_FALSE(after.deadline);
  EXPECT_EQ(port.written.size(), 1U);
  EXPECT_TRUE(tx.TakeUsed());
}

TEST_P(TxTest, Row80_APortThatStaysFullCostsThePacketItsPlace) {
  port.write_error = EAGAIN;
  OfferTx(Packet(Frame(60, 1)));
  OfferTx(Packet(Frame(60, 2)));
  const Instant due = *Step().deadline;
  now = due - std::chrono::nanoseconds(1);
  Step({.port_writable = true});
  EXPECT_EQ(pair.counters().tx.port_drops, 0U);
  EXPECT_FALSE(tx.TakeUsed());
  now = due;
  const Wait wait = Step({});
  EXPECT_EQ(pair.counters().tx.port_drops, 1U);
  EXPECT_TRUE(tx.TakeUsed());
  EXPECT_FALSE(tx.TakeUsed());
  EXPECT_EQ(wait.deadline, now + milliseconds(10)) << "the second waits anew";

  port.write_error = 0;
  Step({.port_writable = true});
  EXPECT_EQ(port.written, std::vector<Bytes>{Packet(Frame(60, 2))});
}

TEST_P(TxTest, Row80_ErrorsThatPassCostOnePacketEach) {
  for (const int error : {ENOBUFS, ENOMEM, EIO}) {
    port.write_errors = {error};
    OfferTx(Packet(Frame(60)));
    ExpectDropped(&TxCounters::port_drops);
  }
  EXPECT_FALSE(pair.port_lost());
}

TEST_P(TxTest, Row80_AFrameTheKernelRefusesIsCountedAsThat) {
  port.write_errors = {EINVAL};
  OfferTx(Packet(Frame(60)));
  ExpectDropped(&TxCounters::port_refused);
  port.write_errors = {EFAULT};
  OfferTx(Packet(Frame(60)));
  ExpectDropped(&TxCounters::bad_chain);
}

TEST_P(TxTest, Row80_APortThatIsGoneTakesNothingAndHoldsNothingUp) {
  port.write_error = EBADFD;
  for (int i = 0; i < 3; ++i) OfferTx(Packet(Frame(60)));
  const Wait wait = Step();
  EXPECT_TRUE(pair.port_lost());
  EXPECT_FALSE(wait.port_readable || wait.port_writable);
  EXPECT_EQ(tx.DrainUsed(), 3U);
  EXPECT_EQ(port.write_batches.size(), 1U);
  EXPECT_EQ(pair.counters().tx.port_drops, 3U);
  OfferTx(Packet(Frame(60)));
  Step();
  EXPECT_EQ(port.write_batches.size(), 1U);
  EXPECT_TRUE(tx.TakeUsed());

  port.write_error = 0;
  pair.SetPort(std::make_unique<tests::ScriptPort>(port));
  EXPECT_FALSE(pair.port_lost());
  ExpectTransmits();
}

TEST_P(TxTest, Row21_ARingThatMakesNoSenseStopsAloneAndForGood) {
  tx.StoreAvail(vduse::kAvailIdx,
                static_cast<uint16_t>(tx.avail_idx() + kSize + 1));
  const Wait wait = Step();
  EXPECT_NE(pair.tx().broken_reason(), "");
  EXPECT_EQ(pair.rx().broken_reason(), "");
  EXPECT_EQ(port.write_calls, 0U);
  EXPECT_FALSE(wait.port_writable);
  ExpectReceives();
  Step();
  EXPECT_FALSE(tx.TakeUsed());
}

TEST_P(TxTest, ARingThatBreaksWhileThePortIsFullWaitsForNothing) {
  port.write_error = EAGAIN;
  OfferTx(Packet(Frame(60)));
  const Instant due = *Step().deadline;
  const uint16_t first = GetParam().base & (kSize - 1);
  tx.StoreAvail(vduse::kAvailRing + first, kSize);
  now = due;
  const Wait wait = Step({.port_writable = true});
  EXPECT_NE(pair.tx().broken_reason(), "");
  EXPECT_FALSE(wait.port_writable);
  EXPECT_FALSE(wait.deadline);
}

TEST_P(TxTest, BeforeThereIsAPortPacketsWait) {
  QueuePair fresh{device, {.mtu = kMtu}};
  StartQueue(fresh, Direction::kTx, tx);
  OfferTx(Packet(Frame(60)));
  const Wait wait = fresh.Step({.tx_kick = true}, clock);
  EXPECT_FALSE(wait.again || wait.deadline || wait.port_writable);
  EXPECT_FALSE(tx.TakeUsed());
  fresh.SetPort(std::make_unique<tests::ScriptPort>(port));
  fresh.Step({}, clock);
  EXPECT_EQ(port.written.size(), 1U);
  EXPECT_TRUE(tx.TakeUsed());
}

}  // namespace
}  // namespace net
