// SPDX-License-Identifier: Apache-2.0
//
// A DRIVER_OK that never comes into force, as whoever wrote it was killed: the
// driver goes on, and waits for its commands without end.
#include "net/device/net_device.h"
#include "tests/net/device/net_device_fixture.h"

namespace net {
namespace {

class NetDeviceLostStatusTest : public NetDeviceTest {
 protected:
  void Negotiate() {
    device.SetFeatures(kOfferedFeatures & ~Bit(kFeatureEventIdx));
    ASSERT_TRUE(Status(kFeaturesOk));
  }

  // Whoever writes this status is killed while it is dealt with.
  void Lose(uint8_t status) {
    const uint32_t id = device.SendStatus(status);
    on_persist = [this, id] { device.Forget(id); };
    EXPECT_TRUE(net->Serve(Now()).ok());
    on_persist = nullptr;
    EXPECT_FALSE(device.ReplyTo(id));
  }

  // Serves for as long as there is something to be done.
  void UntilIdle() {
    for (int i = 0; i < 1000 && net->deadline(); ++i) {
      ASSERT_TRUE(net->Serve(*net->deadline()).ok());
    }
    EXPECT_FALSE(net->deadline()) << "no end of it";
  }

  void ExpectCommandsAlone() {
    EXPECT_FALSE(net->driver_ok());
    OfferTx(1);
    rx.Chain().Writable(2048).Offer();
    rx.Kick();
    EXPECT_EQ(Command(SetAll(0, {1, 0})), Bytes{0});
    EXPECT_EQ(Command(SetAll(1, {2, 0})), Bytes{0});
    UntilIdle();
    EXPECT_FALSE(tx.TakeUsed());
    EXPECT_EQ(device.injects(kRx) + device.injects(kTx) + device.injects(kCtrl),
              0U);
    EXPECT_EQ(device.config_injects(), 0U);
  }

  void ExpectAll() {
    EXPECT_TRUE(net->driver_ok());
    EXPECT_TRUE(Transmits());
    EXPECT_TRUE(Receives());
    EXPECT_EQ(Command(SetAll(1, {5, 0})), Bytes{0});
    EXPECT_TRUE(Pump([&] { return device.injects(kTx) > 0; }));
  }
};

TEST_F(NetDeviceLostStatusTest, CommandsAloneAreServedUntilAReset) {
  Negotiate();
  Lose(kDriverOk);
  ExpectCommandsAlone();
  net->SetLink(false);
  net->SetLink(true);
  UntilIdle();
  EXPECT_EQ(device.config_injects(), 0U);
  ResetAndRestart();
  ASSERT_TRUE(Activate());
  ExpectAll();
}

TEST_F(NetDeviceLostStatusTest, ASuccessorServesCommandsAloneToo) {
  Negotiate();
  Lose(kDriverOk);
  ExpectCommandsAlone();
  NewNet();
  net->Resume(saved);
  NewTap();
  ExpectCommandsAlone();
  ResetAndRestart();
  ASSERT_TRUE(Activate());
  ExpectAll();
}

// As when the process does not come to read it.
TEST_F(NetDeviceLostStatusTest, ACommandWithoutADriverOkIsAnswered) {
  Negotiate();
  device.Forget(device.SendStatus(kDriverOk));
  ExpectCommandsAlone();
}

TEST_F(NetDeviceLostStatusTest, ASuccessorFindsACommandWithoutADriverOk) {
  Negotiate();
  OfferCommand(SetAll(0, {1, 0}));  // the kick goes to the process that died
  NewNet();
  net->Resume(saved);
  NewTap();
  ASSERT_TRUE(Pump([&] { return !!ctrl.TakeUsed(); }));
  ExpectCommandsAlone();
}

TEST_F(NetDeviceLostStatusTest, ADriverOkThatComesAfterAllStartsTheQueues) {
  Negotiate();
  EXPECT_EQ(Command(SetAll(0, {1, 0})), Bytes{0});
  EXPECT_FALSE(net->driver_ok());
  ASSERT_TRUE(Status(kDriverOk));
  ExpectAll();
}

TEST_F(NetDeviceLostStatusTest, ADriverOkThatRepeatsTheOneInForceIsNoLoss) {
  ASSERT_TRUE(Activate());
  net->OnStatusLost(kDriverOk);
  ExpectAll();
}

TEST_F(NetDeviceLostStatusTest, ADriverOkThatDoesNotComeIntoForceIsNoticed) {
  device.HoldStatus(true);
  Negotiate();
  device.StoreStatus();
  ASSERT_TRUE(Status(kDriverOk));
  EXPECT_TRUE(net->driver_ok());
  UntilIdle();
  ExpectCommandsAlone();
  // It was late, and its driver has something to transmit.
  device.StoreStatus();
  tx.Kick();
  EXPECT_TRUE(Pump([&] { return !!tx.TakeUsed() && net->driver_ok(); }));
}

// A process is killed between its answer to DRIVER_OK and the moment at which
// that is in force. Its successor has not noticed that moment yet.
TEST_F(NetDeviceLostStatusTest, ASuspendFindsThatDriverOkIsInForce) {
  device.HoldStatus(true);
  Negotiate();
  device.StoreStatus();
  ASSERT_TRUE(Status(kDriverOk));
  ASSERT_TRUE(Transmits());
  NewNet();
  net->Resume(saved);
  ASSERT_FALSE(net->driver_ok());
  device.StoreStatus();
  EXPECT_EQ(Answer(device.SendSuspend()), VDUSE_REQ_RESULT_OK);
  EXPECT_EQ(Position(kTx), static_cast<uint16_t>(kBase + 1));
}

}  // namespace
}  // namespace net
