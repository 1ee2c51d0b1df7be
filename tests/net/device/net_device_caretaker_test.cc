// SPDX-License-Identifier: Apache-2.0
//
// A caretaker: nobody can serve the driver, and the host must not wait for it.
#include "net/device/net_device.h"
#include "tests/net/device/net_device_fixture.h"

namespace net {
namespace {

class NetDeviceCaretakerTest : public NetDeviceTest {
 protected:
  // The process that serves an active driver ends, and another one follows.
  void Replace(bool caretaker) {
    net.reset();
    auto created = NetDevice::Create(device, Options());
    ASSERT_TRUE(created.ok()) << created.status();
    net = std::move(*created);
    if (caretaker) net->BecomeCaretaker();
    net->Resume(saved);
    if (caretaker) {
      net->SetLink(false);
    } else {
      NewTap();
    }
  }
  void SetUp() override {
    ASSERT_TRUE(Activate());
    ASSERT_EQ(Command(SetAll(1, {5, 6})), Bytes{0});
    ASSERT_NO_FATAL_FAILURE(Replace(true));
  }
};

TEST_F(NetDeviceCaretakerTest, EachCommandIsRefused) {
  EXPECT_TRUE(net->has_driver());
  EXPECT_EQ(Command(SetAll(1, {7, 8})), Bytes{1});
  EXPECT_EQ(Command({0, 0, 1}), Bytes{1});
  EXPECT_EQ(Command({99, 99}), Bytes{1});
  EXPECT_EQ(LinkStatus() & 1, 0);
}

TEST_F(NetDeviceCaretakerTest, NoPacketIsMovedAndNoneIsLost) {
  OfferTx(3);
  rx.Chain().Writable(2048).Offer();
  rx.Kick();
  LetWorkerStep();
  EXPECT_FALSE(tx.TakeUsed());
  EXPECT_FALSE(rx.TakeUsed());
  ASSERT_NO_FATAL_FAILURE(Replace(false));
  std::array<uint8_t, 2048> out{};
  EXPECT_TRUE(
      Pump([&] { return recv(wire.get(), out.data(), out.size(), 0) == 72; }));
  EXPECT_EQ(out[12], 3);
  EXPECT_TRUE(Pump([&] { return !!tx.TakeUsed(); }));
}

TEST_F(NetDeviceCaretakerTest, WhatTheDriverHadSetOutlivesIt) {
  EXPECT_EQ(Command(SetAll(1, {7, 8})), Bytes{1});
  ASSERT_NO_FATAL_FAILURE(Replace(false));
  EXPECT_EQ(Get(0), Reply({.max_packets = 5, .max_usecs = 6}));
}

TEST_F(NetDeviceCaretakerTest, TheKernelIsAnswered) {
  EXPECT_EQ(Answer(device.SendQueueState(kTx)),
            static_cast<uint32_t>(VDUSE_REQ_RESULT_OK));
  ASSERT_TRUE(Status(0));
  EXPECT_FALSE(net->has_driver());
}

}  // namespace
}  // namespace net
