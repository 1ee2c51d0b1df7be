// SPDX-License-Identifier: Apache-2.0
//
// Where queues stand that have not run, and what a successor knows of it.
#include "net/device/net_device.h"
#include "tests/net/device/net_device_fixture.h"

namespace net {
namespace {

using Phase = DeviceState::Phase;
using NetDevicePositionsTest = NetDeviceTest;

TEST_F(NetDevicePositionsTest, AQueueThatNeverRanIsWhereTheDriverPutIt) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ASSERT_TRUE(Status(0));
  SetUpAtPositions({{0}, {77}, {0}});
  device.SetReady(kTx, false);
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Position(kTx), 77);
}

TEST_F(NetDevicePositionsTest, ASuccessorKnowsWhereAQueueIsThatNeverRan) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ASSERT_TRUE(Status(0));
  SetUpAtPositions({{0}, {77}, {0}});
  device.SetReady(kTx, false);
  ASSERT_TRUE(Activate());
  for (const bool state_is_lost : {false, true}) {
    NewNet();
    net->Resume(state_is_lost ? std::nullopt : saved);
    EXPECT_EQ(Position(kTx), 77) << state_is_lost;
  }
  EXPECT_EQ(Answer(device.SendSuspend()), VDUSE_REQ_RESULT_OK);
  EXPECT_EQ(Position(kTx), 77);
}

// The process is killed as soon as it has noted the driver.
TEST_F(NetDevicePositionsTest, ADriversStateHasItsPositionsFromTheFirst) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ASSERT_TRUE(Status(0));
  SetUpAtPositions({{0}, {77}, {0}});
  device.SetReady(kTx, false);
  std::optional<DeviceState> first;
  on_persist = [&] {
    if (!first && saved->phase == Phase::kRunning) first = saved;
  };
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(first);
  EXPECT_EQ(first->positions[kTx], QueuePosition{77});
}

TEST_F(NetDevicePositionsTest, ASuccessorKnowsAPositionThatIsSetLate) {
  device.SetReady(kTx, false);
  ASSERT_TRUE(Activate());
  tx.Restart(78);
  device.SetReady(kTx, false);
  ASSERT_TRUE(net->deadline());
  ASSERT_TRUE(net->Serve(*net->deadline()).ok());
  NewNet();
  net->Resume(saved);
  EXPECT_EQ(Position(kTx), 78);
}

// The process that was to restore it has been killed; the state file has it.
TEST_F(NetDevicePositionsTest, AStateIsRestoredAlsoByASuccessor) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ASSERT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  ASSERT_TRUE(Status(0));
  const DeviceState state = Restored(net->state());
  EXPECT_EQ(state.phase, Phase::kRestored);
  device.SetFeatures(0);
  NewNet();
  net->Resume(state);
  NewTap();
  SetUpAtPositions(state.positions);
  EXPECT_TRUE(SendToDevice(kMac)) << "it waits in the TAP";
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Get(kRx), Reply({5, 50}));
  rx.Chain().Writable(2048).Offer();
  rx.Kick();
  EXPECT_TRUE(Pump([&] { return !!rx.TakeUsed(); })) << "not dropped";
}

}  // namespace
}  // namespace net
