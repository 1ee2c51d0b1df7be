// SPDX-License-Identifier: Apache-2.0
//
// What newer kernels ask of a device: queues announced one by one, a suspend;
// and a driver that goes on after a stop, here or elsewhere.
#include "net/device/net_device.h"
#include "tests/net/device/net_device_fixture.h"

namespace net {
namespace {

using Phase = DeviceState::Phase;

class NetDeviceMovesTest : public NetDeviceTest {
 protected:
  // Whether a line of the summary begins so.
  bool Says(std::string_view start) {
    return std::ranges::any_of(net->Summary(), [&](const std::string& line) {
      return line.starts_with(start);
    });
  }
};

TEST_F(NetDeviceMovesTest, AQueueAnnouncedAfterDriverOkIsStarted) {
  device.SetReady(kTx, false);
  ASSERT_TRUE(Activate());
  while (net->deadline()) {  // until it no longer looks by itself
    ASSERT_TRUE(net->Serve(*net->deadline()).ok());
  }
  EXPECT_EQ(Answer(device.SendQueueReady(kTx, true)), VDUSE_REQ_RESULT_OK);
  EXPECT_TRUE(Transmits());
}

TEST_F(NetDeviceMovesTest, AQueueThatIsTakenAwayStopsAndTheOthersGoOn) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ASSERT_EQ(Command(VqSet(kTx, {6, 60})), Bytes{0});
  EXPECT_EQ(Answer(device.SendQueueReady(kTx, false)), VDUSE_REQ_RESULT_OK);
  const uint16_t used = tx.used_idx();
  OfferTx(1);
  EXPECT_TRUE(Receives());
  EXPECT_EQ(tx.used_idx(), used);
  EXPECT_EQ(Position(kTx), static_cast<uint16_t>(kBase + 1));
  EXPECT_EQ(Command(VqSet(kTx, {6, 60})), Bytes{1}) << "it is not enabled";
  // It comes back where it was, at what a new queue has. The kernel still says
  // where it once began; the driver may not have heard of the last completion.
  EXPECT_EQ(Answer(device.SendIotlbUpdate(0, UINT64_MAX)), VDUSE_REQ_RESULT_OK);
  device.SetReady(kTx, true);  // as the kernel says until it has the answer
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(net->Serve(Now()).ok());
  device.SetReady(kTx, false);
  EXPECT_EQ(Position(kTx), static_cast<uint16_t>(kBase + 1));
  EXPECT_EQ(tx.used_idx(), used) << "it is the kernel's to say when";
  const uint64_t before = device.injects(kTx);
  tx.SetNoInterrupt(true);
  EXPECT_EQ(Answer(device.SendQueueReady(kTx, true)), VDUSE_REQ_RESULT_OK);
  ASSERT_TRUE(Pump([&] { return !!tx.TakeUsed(); })) << "offered meanwhile";
  EXPECT_EQ(tx.used_idx(), static_cast<uint16_t>(used + 1));
  EXPECT_EQ(device.injects(kTx), before + 1);
  std::array<uint8_t, 2048> out{};
  EXPECT_EQ(recv(wire.get(), out.data(), out.size(), 0), 72);
  EXPECT_TRUE(Transmits());
  EXPECT_EQ(Get(kTx), Reply({0, 0}));

  // With nothing new to say it is told all the same.
  EXPECT_EQ(Answer(device.SendQueueReady(kTx, false)), VDUSE_REQ_RESULT_OK);
  const uint64_t said = device.injects(kTx);
  EXPECT_EQ(Answer(device.SendQueueReady(kTx, true)), VDUSE_REQ_RESULT_OK);
  EXPECT_TRUE(Pump([&] { return device.injects(kTx) > said; }));
}

// As a VMM does that asks for the position and sets it.
TEST_F(NetDeviceMovesTest, AQueueThatComesBackWhereItStoppedIsToldToo) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(SetAll(0, kPatient)), Bytes{0});
  ASSERT_TRUE(Transmits());
  EXPECT_EQ(Answer(device.SendQueueReady(kTx, false)), VDUSE_REQ_RESULT_OK);
  const uint64_t before = device.injects(kTx);
  tx.Restart(Position(kTx));
  EXPECT_EQ(Answer(device.SendQueueReady(kTx, true)), VDUSE_REQ_RESULT_OK);
  EXPECT_TRUE(Pump([&] { return device.injects(kTx) > before; }));
  EXPECT_TRUE(Transmits());
}

TEST_F(NetDeviceMovesTest, AKickFindsAControlQueueThatNobodyAnnounced) {
  device.SetReady(kCtrl, false);
  ASSERT_TRUE(Activate());
  while (net->deadline()) {  // until it no longer looks by itself
    ASSERT_TRUE(net->Serve(*net->deadline()).ok());
  }
  device.SetReady(kCtrl, true);
  EXPECT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
}

TEST_F(NetDeviceMovesTest, ADriverThatGoesOnIsNotifiedOfWhatItMayHaveMissed) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(SetAll(0, kPatient)), Bytes{0});
  ASSERT_TRUE(Transmits());
  ASSERT_TRUE(Status(0));
  const uint64_t before = device.injects(kTx);
  SetUpAtPositions(net->state().positions);
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(Pump([&] { return device.injects(kTx) > before; }));
}

TEST_F(NetDeviceMovesTest, ACrashOverAResetLosesNothing) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ASSERT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  DeviceState state = *saved;
  state.phase = Phase::kStopped;  // as the reset left it, unanswered
  NewNet();
  net->Resume(state);
  NewTap();
  EXPECT_EQ(Get(kRx), Reply({5, 50}));
}

// --- Offloads ---------------------------------------------------------------

Bytes OffloadsSet(uint64_t offloads) {
  Bytes bytes = {5, 0};
  for (int i = 0; i < 8; ++i) {
    bytes.push_back(static_cast<uint8_t>(offloads >> (8 * i)));
  }
  return bytes;
}
constexpr uint64_t kCsumAlone = Bit(kFeatureGuestCsum);

TEST_F(NetDeviceMovesTest, ADriverAcceptsWhatItNegotiatedUntilItSaysOtherwise) {
  EXPECT_EQ(net->guest_offloads(), 0U);
  ASSERT_TRUE(Activate());
  EXPECT_EQ(net->guest_offloads(), kGuestOffloads);
  EXPECT_EQ(Command(OffloadsSet(kGuestOffloads | Bit(kFeatureCsum))), Bytes{1});
  EXPECT_EQ(net->guest_offloads(), kGuestOffloads);
  EXPECT_EQ(Command(OffloadsSet(kCsumAlone)), Bytes{0});
  EXPECT_EQ(net->guest_offloads(), kCsumAlone);
  ResetAndRestart();
  ASSERT_TRUE(Activate());
  EXPECT_EQ(net->guest_offloads(), kGuestOffloads) << "another driver";
}

TEST_F(NetDeviceMovesTest, WhatADriverAcceptsOutlivesTheProcessAndAVmmsReset) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ASSERT_EQ(Command(OffloadsSet(kCsumAlone)), Bytes{0});
  NewNet();
  net->Resume(saved);
  NewTap();
  EXPECT_EQ(net->guest_offloads(), kCsumAlone);
  ASSERT_TRUE(Transmits());
  ASSERT_TRUE(Status(0));
  SetUpAtPositions(net->state().positions);
  ASSERT_TRUE(Activate());
  EXPECT_EQ(net->guest_offloads(), kCsumAlone);
}

TEST_F(NetDeviceMovesTest, AnnouncementsForNoQueueAndBeforeDriverOkAreTaken) {
  EXPECT_EQ(Answer(device.SendQueueReady(kRx, true)), VDUSE_REQ_RESULT_OK);
  EXPECT_EQ(Answer(device.SendQueueReady(kRx, false)), VDUSE_REQ_RESULT_OK);
  EXPECT_EQ(Answer(device.SendQueueReady(kRx, true)), VDUSE_REQ_RESULT_OK);
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(Receives());
  net->OnQueueReady(UINT32_MAX, true);
  net->OnQueueReady(3, false);
  EXPECT_TRUE(Transmits());
}

TEST_F(NetDeviceMovesTest, TheControlQueueMayComeAndGo) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  EXPECT_EQ(Answer(device.SendQueueReady(kCtrl, false)), VDUSE_REQ_RESULT_OK);
  OfferCommand(SetAll(1, {6, 60}));
  ASSERT_TRUE(net->Serve(Now()).ok());
  EXPECT_FALSE(ctrl.TakeUsed());
  ctrl.Restart(Position(kCtrl));
  EXPECT_EQ(Answer(device.SendQueueReady(kCtrl, true)), VDUSE_REQ_RESULT_OK);
  EXPECT_EQ(Command(SetAll(1, {7, 70})), Bytes{0});
  EXPECT_EQ(Get(kRx), Reply({7, 70}));
}

TEST_F(NetDeviceMovesTest, ASuspendLeavesNoNotificationOwed) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ASSERT_TRUE(Pump([&] { return device.injects(kTx) > 0; }));
  ASSERT_EQ(Command(SetAll(0, kPatient)), Bytes{0});
  const uint64_t before = device.injects(kTx);
  ASSERT_TRUE(Transmits());
  ASSERT_EQ(device.injects(kTx), before) << "withheld";
  EXPECT_EQ(Answer(device.SendSuspend()), VDUSE_REQ_RESULT_OK);
  EXPECT_EQ(device.injects(kTx), before + 1);
  EXPECT_FALSE(net->deadline()) << "nothing is left to be done";
  EXPECT_TRUE(Says("pair 0 tx flushes: packets 1 suspend 1"));
  EXPECT_TRUE(Says("pair 0 tx per notification: packets p50 1 p99 1 max 1"));
}

TEST_F(NetDeviceMovesTest, AQueueThatIsTakenAwayNotifiesOfWhatIsPending) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ASSERT_TRUE(Pump([&] { return device.injects(kTx) > 0; }));
  ASSERT_EQ(Command(SetAll(0, kPatient)), Bytes{0});
  const uint64_t before = device.injects(kTx);
  ASSERT_TRUE(Transmits());
  ASSERT_EQ(device.injects(kTx), before) << "withheld";
  EXPECT_EQ(Answer(device.SendQueueReady(kTx, false)), VDUSE_REQ_RESULT_OK);
  EXPECT_EQ(device.injects(kTx), before + 1);
  EXPECT_TRUE(Says("pair 0 tx flushes: packets 1 stop 1"));
}

TEST_F(NetDeviceMovesTest, AResetNotifiesOfNothing) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ASSERT_TRUE(Pump([&] { return device.injects(kTx) > 0; }));
  ASSERT_EQ(Command(SetAll(0, kPatient)), Bytes{0});
  ASSERT_TRUE(Transmits());
  const uint64_t before = device.injects(kTx);
  ResetAndRestart();
  EXPECT_EQ(device.injects(kTx), before);
  EXPECT_TRUE(Says("pair 0 tx flushes: packets 1 cancelled 1"));
}

TEST_F(NetDeviceMovesTest, ASuspendedDeviceDoesNothingAndKnowsItsPositions) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  EXPECT_EQ(Answer(device.SendSuspend()), VDUSE_REQ_RESULT_OK);
  const uint16_t used = tx.used_idx();
  OfferTx(1);
  OfferCommand(SetAll(0, kPatient));
  net->SetLink(false);
  net->SetLink(true);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(net->Serve(Now()).ok());
  EXPECT_EQ(tx.used_idx(), used);
  EXPECT_FALSE(ctrl.TakeUsed());
  EXPECT_EQ(Position(kTx), static_cast<uint16_t>(kBase + 1));
  // Neither a second suspend nor a repeated DRIVER_OK changes that.
  EXPECT_EQ(Answer(device.SendSuspend()), VDUSE_REQ_RESULT_OK);
  EXPECT_TRUE(Status(kDriverOk));
  EXPECT_EQ(Answer(device.SendQueueReady(kTx, true)), VDUSE_REQ_RESULT_OK);
  ASSERT_TRUE(net->Serve(Now()).ok());
  EXPECT_EQ(tx.used_idx(), used);
}

TEST_F(NetDeviceMovesTest, AResetEndsASuspend) {
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Answer(device.SendSuspend()), VDUSE_REQ_RESULT_OK);
  ASSERT_TRUE(Status(0));
  SetUpAtPositions({{0}, {0}, {0}});
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
}

TEST_F(NetDeviceMovesTest, ADriverThatGoesOnWhereItStoppedFindsWhatItSet) {
  for (const bool suspend : {true, false}) {
    ASSERT_TRUE(Activate());
    ASSERT_TRUE(Transmits());
    ASSERT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
    ASSERT_EQ(Command(VqSet(kTx, {6, 60})), Bytes{0});
    if (suspend) {
      EXPECT_EQ(Answer(device.SendSuspend()), VDUSE_REQ_RESULT_OK);
    }
    ASSERT_TRUE(Status(0));
    ASSERT_TRUE(Status(0));  // VMMs reset more than once
    SetUpAtPositions(net->state().positions);
    ASSERT_TRUE(Activate());
    EXPECT_EQ(Get(kRx), Reply({5, 50}));
    EXPECT_EQ(Get(kTx), Reply({6, 60}));
    EXPECT_TRUE(Transmits());
    ASSERT_TRUE(Status(0));
    SetUpAtPositions({{0}, {0}, {0}});
  }
}

TEST_F(NetDeviceMovesTest, ANewDriverFindsNothingOfTheLast) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  EXPECT_EQ(Answer(device.SendSuspend()), VDUSE_REQ_RESULT_OK);
  ASSERT_TRUE(Status(0));
  SetUpAtPositions({{0}, {0}, {0}});
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Get(kRx), Reply({0, 0}));
}

TEST_F(NetDeviceMovesTest, AStateIsRestoredOnAnotherDevice) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ASSERT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  ASSERT_EQ(Command(VqSet(kTx, {6, 60})), Bytes{0});
  ASSERT_TRUE(Status(0));
  const DeviceState state = net->state();
  EXPECT_EQ(state.phase, Phase::kStopped);
  NewNet();
  ASSERT_TRUE(net->Restore(state).ok());
  NewTap();
  EXPECT_EQ(Position(kTx), static_cast<uint16_t>(kBase + 1));
  EXPECT_EQ(saved->phase, Phase::kRestored) << "a crash now loses nothing";
  ASSERT_TRUE(Status(0));
  SetUpAtPositions({{0}, {0}, {0}});  // not even the same rings
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Get(kRx), Reply({5, 50}));
  EXPECT_EQ(Get(kTx), Reply({6, 60}));
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
  // It was for one driver.
  ASSERT_TRUE(Status(0));
  SetUpAtPositions({{0}, {0}, {0}});
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Get(kRx), Reply({0, 0}));
}

TEST_F(NetDeviceMovesTest, ARestoredStateIsNotForADriverWithOtherFeatures) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  ASSERT_TRUE(Status(0));
  const DeviceState state = net->state();
  NewNet();
  ASSERT_TRUE(net->Restore(state).ok());
  NewTap();
  SetUpAtPositions({{0}, {0}, {0}});
  ASSERT_TRUE(
      Activate(kOfferedFeatures & ~Bit(kFeatureEventIdx) & ~Bit(kFeatureMtu)));
  EXPECT_EQ(Get(kRx), Reply({0, 0}));
}

TEST_F(NetDeviceMovesTest, AStateThatDoesNotFitIsRefusedWithTheReason) {
  DeviceState state;
  state.features = kOfferedFeatures;
  state.positions.resize(3);
  state.coalescing.queues.resize(2);
  ASSERT_TRUE(net->Restore(state).ok());
  DeviceState more = state;
  more.features |= Bit(40);
  EXPECT_NE(net->Restore(more).message().find("bit_40"), std::string::npos);
  DeviceState queues = state;
  queues.positions.resize(5);
  EXPECT_NE(net->Restore(queues).message().find("5 virtqueues"),
            std::string::npos);
  DeviceState params = state;
  params.coalescing.queues.resize(4);
  EXPECT_TRUE(absl::IsInvalidArgument(net->Restore(params)));
}

TEST_F(NetDeviceMovesTest, ASuccessorOfASuspendedDevicesProcessKeepsItSo) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ASSERT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  EXPECT_EQ(Answer(device.SendSuspend()), VDUSE_REQ_RESULT_OK);
  NewNet();
  net->Resume(saved);
  NewTap();
  EXPECT_FALSE(net->driver_ok());
  EXPECT_EQ(Position(kTx), static_cast<uint16_t>(kBase + 1));
  OfferTx(1);
  ASSERT_TRUE(net->Serve(Now()).ok());
  EXPECT_EQ(tx.used_idx(), static_cast<uint16_t>(kBase + 1));
  ASSERT_TRUE(Status(0));
  SetUpAtPositions(saved->positions);
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Get(kRx), Reply({5, 50}));
}

}  // namespace
}  // namespace net
