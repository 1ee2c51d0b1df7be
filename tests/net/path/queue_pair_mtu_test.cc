// SPDX-License-Identifier: Apache-2.0
//
// How many packets are read at once is decided by those that come, not by the
// largest that may come.
#include "tests/net/path/queue_pair_fixture.h"

namespace net {
namespace {

class MtuTest : public QueuePairTest {
 protected:
  static constexpr uint32_t kSize = 256;
  static constexpr uint32_t kBuffer = 1536;  // as Linux's mergeable ones

  MtuTest() : QueuePairTest(kSize) { ForceDriverOk(); }

  // A pair whose MTU that is, and a ring full of buffers.
  void StartWith(uint16_t mtu) {
    its_pair.emplace(device, QueuePair::Options{.mtu = mtu});
    port = {};
    port.at_once = GetParam().at_once;
    its_pair->SetPort(std::make_unique<tests::ScriptPort>(port));
    rx.Restart(GetParam().base);
    StartQueue(*its_pair, Direction::kRx, rx);
    Refill();
  }
  void Refill() {
    while (rx.outstanding() < kSize) OfferRx(kBuffer);
  }

  void StepAll() {
    Wait wait = its_pair->Step({.port_readable = true, .rx_kick = true}, clock);
    for (int i = 0; wait.again && i < 1000; ++i) {
      wait = its_pair->Step({}, clock);
    }
    ASSERT_FALSE(wait.again);
  }

  void ExpectPacket(const Bytes& frame) {
    Bytes packet;
    int buffers = 1;
    for (int taken = 0; taken < buffers; ++taken) {
      const std::optional<tests::UsedEntry> used = rx.TakeUsed();
      ASSERT_TRUE(used) << taken << " of " << buffers;
      if (taken == 0) buffers = used->bytes.at(10) + 256 * used->bytes.at(11);
      packet = Cat(std::move(packet), used->bytes);
    }
    VirtioNetHeader header;
    header.num_buffers = static_cast<uint16_t>(buffers);
    ASSERT_EQ(packet, Packet(frame, header));
  }

  std::optional<QueuePair> its_pair;
};

INSTANTIATE_TEST_SUITE_P(Rings, MtuTest, kEveryPair, PairName);

constexpr uint16_t kMtus[] = {68, 1500, 1507, 2000, 2048, 9000, 65535};

TEST_P(MtuTest, SmallPacketsAreReadTogetherWhateverTheMtu) {
  constexpr uint32_t kPackets = 200;
  for (const uint16_t mtu : kMtus) {
    StartWith(mtu);
    for (uint32_t i = 0; i < kPackets; ++i) port.Receive(Packet(Frame(60)));
    StepAll();
    EXPECT_EQ(rx.DrainUsed(), kPackets) << mtu;
    // 1, 2, 4, 8, 16, then 32 at a time.
    const size_t reads = port.at_once == kMaxBatch ? 11 : kPackets + 1;
    EXPECT_EQ(port.read_batches.size(), reads) << mtu;
  }
}

TEST_P(MtuTest, ALargePacketAmongManySmallOnesComesInWhole) {
  for (const uint16_t mtu : kMtus) {
    for (const size_t large : {1525U, 1537U, 2061U, 9014U, 65535U, 65553U}) {
      StartWith(mtu);
      for (uint8_t i = 0; i < 40; ++i) port.Receive(Packet(Frame(60, i)));
      port.Receive(Packet(Frame(large)));
      for (uint8_t i = 40; i < 80; ++i) port.Receive(Packet(Frame(60, i)));
      port.Receive(Packet(Frame(large)));
      StepAll();
      for (uint8_t i = 0; i < 40; ++i) ExpectPacket(Frame(60, i));
      ExpectPacket(Frame(large));
      for (uint8_t i = 40; i < 80; ++i) ExpectPacket(Frame(60, i));
      ExpectPacket(Frame(large));
      EXPECT_FALSE(rx.TakeUsed());
      ASSERT_FALSE(HasFatalFailure()) << mtu << " " << large;
    }
  }
}

TEST_P(MtuTest, AfterLargePacketsAFewSmallOnesAreReadTogetherAgain) {
  StartWith(9000);
  for (int i = 0; i < 5; ++i) port.Receive(Packet(Frame(9014)));
  StepAll();
  rx.DrainUsed();
  Refill();
  port.read_batches.clear();
  for (int i = 0; i < 100; ++i) port.Receive(Packet(Frame(60)));
  StepAll();
  EXPECT_EQ(rx.DrainUsed(), 100U);
  if (port.at_once == kMaxBatch) {
    EXPECT_LE(port.read_batches.size(), 16U);
  }
}

}  // namespace
}  // namespace net
