// SPDX-License-Identifier: Apache-2.0
//
// What a device remembers and shows: coalescing, its link, and what a
// successor of a process that died finds.
#include <unistd.h>

#include "net/device/net_device.h"
#include "tests/net/device/net_device_fixture.h"
#include "vduse/sigbus_guard.h"

namespace net {
namespace {

using coalesce::Source;

class NetDeviceStateTest : public NetDeviceTest {
 protected:
  // The queue's first notification is always sent: gets it over with.
  uint64_t NotifiedTx() {
    EXPECT_TRUE(Transmits());
    EXPECT_TRUE(Pump([&] { return device.injects(kTx) > 0; }));
    return device.injects(kTx);
  }

  // The process dies and another takes its place.
  void Succeed() {
    NewNet();
    net->Resume(saved);
    NewTap();
  }
};

TEST_F(NetDeviceStateTest, AnAckMeansThatTheParametersAreInForce) {
  ASSERT_TRUE(Activate());
  const uint64_t before = NotifiedTx();
  ASSERT_EQ(Command(SetAll(0, kPatient)), Bytes{0});
  ASSERT_TRUE(Transmits());
  EXPECT_EQ(device.injects(kTx), before) << "withheld";
  ASSERT_EQ(Command(SetAll(0, {0, 0})), Bytes{0});
  EXPECT_EQ(device.injects(kTx), before + 1) << "at once";
}

TEST_F(NetDeviceStateTest, ParametersAreSavedBeforeTheyAreAcked) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  ASSERT_EQ(Command(VqSet(kTx, {6, 60})), Bytes{0});
  ASSERT_TRUE(saved);
  EXPECT_EQ(saved->coalescing.all_rx, (Params{5, 50}));
  EXPECT_EQ(saved->coalescing.queues[kTx].params, (Params{6, 60}));
  EXPECT_EQ(saved->coalescing.queues[kTx].source, Source::kDriverQueue);
  EXPECT_EQ(Get(kRx), Reply({5, 50}));
  EXPECT_EQ(Get(kTx), Reply({6, 60}));
}

TEST_F(NetDeviceStateTest, AResetBringsTheOperatorsValuesBack) {
  operator_params = {.max_packets = 3, .max_usecs = 33};
  NewNet();
  NewTap();
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Get(kRx), Reply({3, 33}));
  ASSERT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  ASSERT_EQ(Command(VqSet(kTx, {6, 60})), Bytes{0});
  ResetAndRestart();
  EXPECT_EQ(saved->phase, DeviceState::Phase::kStopped);
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Get(kRx), Reply({3, 33}));
  EXPECT_EQ(Get(kTx), Reply({3, 33}));
}

TEST_F(NetDeviceStateTest, TheOperatorsChangeIsInForceAtOnceButForTheDrivers) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(VqSet(kTx, {6, 60})), Bytes{0});
  for (const auto direction :
       {coalesce::Direction::kRx, coalesce::Direction::kTx}) {
    net->SetOperatorCoalescing(direction,
                               Params{.max_packets = 4, .max_usecs = 44});
  }
  EXPECT_EQ(Get(kRx), Reply({4, 44}));
  EXPECT_EQ(Get(kTx), Reply({6, 60}));
  const std::vector<CoalescingReport> reports = net->ReportCoalescing();
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[kRx].requested.source, coalesce::Source::kOperator);
  EXPECT_EQ(reports[kRx].effective,
            (Params{.max_packets = 4, .max_usecs = 44}));
  EXPECT_EQ(reports[kTx].requested.source, coalesce::Source::kDriverQueue);
  EXPECT_EQ(reports[kTx].effective,
            (Params{.max_packets = 6, .max_usecs = 60}));
  ResetAndRestart();
  EXPECT_FALSE(net->ReportCoalescing()[kTx].effective) << "it does not run";
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Get(kTx), Reply({4, 44})) << "a reset does not erase it";
}

TEST_F(NetDeviceStateTest, AGoalOfTheOperatorsRulesTheRunningQueues) {
  ASSERT_TRUE(Activate());
  const coalesce::Goal goal = {.kind = coalesce::Goal::Kind::kMaxRate,
                               .value = 1000};
  net->SetOperatorCoalescing(coalesce::Direction::kTx, {Params(), goal});
  const CoalescingReport report = net->ReportCoalescing()[kTx];
  EXPECT_EQ(report.requested.source, coalesce::Source::kAdaptive);
  EXPECT_EQ(report.goal, goal);
  EXPECT_EQ(report.effective,
            (Params{.max_packets = kSize, .max_usecs = 1000}));
  EXPECT_TRUE(Transmits());
  const auto decisions = [&] {
    return net->ReportCoalescing()[kTx].counters.decisions.alone;
  };
  EXPECT_EQ(decisions(), 1U);
  const Params fixed{.max_packets = 5, .max_usecs = 5};
  net->SetOperatorCoalescing(coalesce::Direction::kTx, {fixed, goal});
  EXPECT_EQ(decisions(), 1U) << "the same goal goes on";
  net->SetOperatorCoalescing(coalesce::Direction::kTx, fixed);
  EXPECT_EQ(decisions(), 1U) << "what was decided stays counted";
}

TEST_F(NetDeviceStateTest, Row104_TheControlQueueHasNoParameters) {
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Command(VqSet(kCtrl, {1, 1})), Bytes{1});
  EXPECT_EQ(Get(kCtrl), (Bytes{0, 0, 0, 0, 0, 0, 0, 0, 1}));
}

TEST_F(NetDeviceStateTest, Row134_AHundredThousandChangesLeaveNothingBehind) {
  ASSERT_TRUE(Activate());
  const size_t fds = OpenFds();
  for (int batch = 0; batch < 100'000 / 5; ++batch) {
    for (uint8_t i = 0; i < 5; ++i) {
      ctrl.Chain().Readable(SetAll(i % 2, {i, 10})).Writable(1).Offer();
    }
    ctrl.Kick();
    ASSERT_TRUE(net->Serve(Now()).ok());
    ASSERT_EQ(ctrl.DrainUsed(), 5U);
  }
  EXPECT_EQ(OpenFds(), fds);
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
}

TEST_F(NetDeviceStateTest, TheLinkIsShownAndItsChangesAreNotified) {
  EXPECT_EQ(LinkStatus(), kStatusLinkUp);
  net->SetLink(false);
  EXPECT_EQ(LinkStatus(), 0);
  EXPECT_EQ(device.config_injects(), 0U) << "no driver yet";
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Pump([&] { return device.config_injects() == 1; }))
      << "the driver may have read before the change";
  net->SetLink(true);
  EXPECT_EQ(LinkStatus(), kStatusLinkUp);
  EXPECT_TRUE(Pump([&] { return device.config_injects() == 2; }));
  net->SetLink(true);
  EXPECT_TRUE(net->Serve(Now()).ok());
  EXPECT_EQ(device.config_injects(), 2U) << "nothing changed";
}

TEST_F(NetDeviceStateTest, Row130_AConfigInterruptIsRetriedUntilDriverOkIsIn) {
  device.HoldStatus(true);
  device.SetFeatures(kOfferedFeatures);
  ASSERT_TRUE(Status(kDriverOk));
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(net->deadline());
    ASSERT_TRUE(net->Serve(*net->deadline()).ok());
  }
  EXPECT_EQ(device.config_injects(), 0U);
  device.StoreStatus();
  EXPECT_TRUE(Pump([&] { return device.config_injects() == 1; }));
}

TEST_F(NetDeviceStateTest, Row21_ABrokenQueueTakesTheLinkDownAndNothingElse) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  tx.StoreAvail(vduse::kAvailIdx, static_cast<uint16_t>(kBase + 3 * kSize));
  tx.Kick();
  ASSERT_TRUE(Pump([&] { return LinkStatus() == 0; }));
  EXPECT_TRUE(Receives());
  EXPECT_EQ(Command(SetAll(0, {1, 0})), Bytes{0});
  NewTap();
  EXPECT_EQ(LinkStatus(), 0) << "another TAP mends no ring";
  ResetAndRestart();
  ASSERT_TRUE(Activate());
  EXPECT_EQ(LinkStatus(), kStatusLinkUp);
  EXPECT_TRUE(Transmits());
}

TEST_F(NetDeviceStateTest, Row21_ABrokenControlQueueTakesTheLinkDownToo) {
  ASSERT_TRUE(Activate());
  ctrl.StoreAvail(vduse::kAvailIdx, static_cast<uint16_t>(kBase + 3 * kSize));
  ctrl.Kick();
  ASSERT_TRUE(Pump([&] { return LinkStatus() == 0; }));
  EXPECT_EQ(ctrl.used_elem(kBase).id, 0xffffU) << "or the driver waits on";
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
  NewTap();
  EXPECT_EQ(LinkStatus(), 0);
}

TEST_F(NetDeviceStateTest, Row124_ACommandWithoutPagesStopsItsQueueAlone) {
  constexpr uint64_t kAt = 0x10000000;
  vduse::SigbusGuard::Install();
  device.AddRegion(kAt, 8192);
  ASSERT_EQ(ftruncate(device.RegionFd(kAt), 4096), 0);
  ASSERT_TRUE(Activate());
  ctrl.Chain().ReadableAt(kAt + 4096, 2).Writable(1).Offer();
  ctrl.Kick();
  ASSERT_TRUE(Pump([&] { return LinkStatus() == 0; }));
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
}

TEST_F(NetDeviceStateTest, ATapThatGoesTakesTheLinkDownUntilThereIsAnother) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  wire.Reset();
  EXPECT_TRUE(Pump([&] { return LinkStatus() == 0; }));
  OfferTx(1);
  EXPECT_TRUE(Pump([&] { return !!tx.TakeUsed(); })) << "dropped, not kept";
  NewTap();
  EXPECT_EQ(LinkStatus(), kStatusLinkUp);
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
}

TEST_F(NetDeviceStateTest, ATapThatGoesIsNoticedWithoutADriver) {
  wire.Reset();
  EXPECT_TRUE(Pump([&] { return LinkStatus() == 0; }));
}

TEST_F(NetDeviceStateTest, ASuccessorGoesOnWhereTheOtherStopped) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  ASSERT_EQ(Command(VqSet(kTx, {6, 60})), Bytes{0});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Transmits());
  ASSERT_TRUE(Receives());

  Succeed();

  EXPECT_TRUE(net->driver_ok());
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
  EXPECT_EQ(Get(kRx), Reply({5, 50}));
  EXPECT_EQ(Get(kTx), Reply({6, 60}));
}

TEST_F(NetDeviceStateTest, ASuccessorNotifiesOfWhatTheOtherMayNotHave) {
  ASSERT_TRUE(Activate());
  const uint64_t before = NotifiedTx();
  ASSERT_EQ(Command(SetAll(0, kPatient)), Bytes{0});
  ASSERT_TRUE(Transmits());
  Succeed();
  EXPECT_TRUE(Pump(
      [&] { return device.injects(kTx) > before && device.injects(kRx) > 0; }));
}

TEST_F(NetDeviceStateTest, Row117_ACommandInFlightIsAnsweredByTheSuccessor) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  OfferCommand(SetAll(1, {8, 80}));
  NewNet();
  net->Resume(saved);
  EXPECT_TRUE(net->Serve(Now()).ok());
  const std::optional<tests::UsedEntry> used = ctrl.TakeUsed();
  ASSERT_TRUE(used) << "in the very first turn, before there is a TAP";
  EXPECT_EQ(used->bytes, Bytes{0});
  EXPECT_EQ(Get(kRx), Reply({8, 80}));
}

TEST_F(NetDeviceStateTest, ASuccessorAnswersADriverOkThatIsPending) {
  device.SetFeatures(kOfferedFeatures);
  ASSERT_TRUE(Status(kFeaturesOk));
  OfferTx(1);
  const uint32_t id = device.SendStatus(kDriverOk);
  NewNet();
  net->Resume(saved);
  EXPECT_FALSE(net->driver_ok());
  EXPECT_TRUE(net->Serve(Now()).ok());
  EXPECT_EQ(device.ReplyTo(id)->result, uint32_t{VDUSE_REQ_RESULT_OK});
  EXPECT_TRUE(net->driver_ok());
  NewTap();
  EXPECT_TRUE(Pump([&] { return !!tx.TakeUsed(); }));
}

TEST_F(NetDeviceStateTest, ASuccessorShowsTheLinkThatHoldsWhateverWasShown) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(LinkStatus(), kStatusLinkUp);
  NewNet();
  net->Resume(saved);
  ASSERT_TRUE(net->Serve(Now()).ok());
  EXPECT_EQ(LinkStatus(), kStatusLinkUp) << "no change before it is known";
  const uint64_t before = device.config_injects();
  net->SetLink(false);
  EXPECT_EQ(LinkStatus(), 0);
  EXPECT_TRUE(Pump([&] { return device.config_injects() > before; }));
  NewNet();
  net->Resume(saved);
  NewTap();
  EXPECT_EQ(LinkStatus(), kStatusLinkUp) << "and so does the next";
}

TEST_F(NetDeviceStateTest, ASuccessorShowsThatAQueueIsBroken) {
  ASSERT_TRUE(Activate());
  NewNet();
  tx.StoreAvail(vduse::kAvailIdx, static_cast<uint16_t>(kBase + 2 * kSize));
  net->Resume(saved);
  NewTap();
  EXPECT_TRUE(Pump([&] { return LinkStatus() == 0; }));
}

TEST_F(NetDeviceStateTest, ASuccessorWithoutADriverWaitsForOne) {
  Succeed();
  EXPECT_FALSE(net->driver_ok());
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(Transmits());
}

TEST_F(NetDeviceStateTest, AResetEndsAnAdoption) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  Succeed();
  ResetAndRestart();
  // Were the start still a recovery, it would begin at used.idx.
  tx.StoreUsed(vduse::kUsedIdx, static_cast<uint16_t>(kBase - 5));
  ASSERT_TRUE(Activate());
  OfferTx(1);
  EXPECT_TRUE(
      Pump([&] { return tx.used_idx() == static_cast<uint16_t>(kBase + 1); }));
}

TEST_F(NetDeviceStateTest, Row140_ASnapshotOfAnotherDeviceIsNotUsed) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  saved->coalescing.queues.resize(7);
  Succeed();
  EXPECT_TRUE(Transmits());
  EXPECT_EQ(Get(kRx), Reply({0, 0}));
}

TEST_F(NetDeviceStateTest, Row19_TheLinkChangesNothingElseOfTheConfig) {
  net->SetLink(false);
  const std::vector<uint8_t> down = device.config();
  net->SetLink(true);
  std::vector<uint8_t> up = device.config();
  ASSERT_EQ(up[6], 1);
  up[6] = 0;
  EXPECT_EQ(up, down);
}

TEST_F(NetDeviceStateTest, Row20_ADeviceWithAnotherNumberOfQueuesIsRefused) {
  for (const uint32_t queues : {1U, 2U, 4U}) {
    tests::FakeDevice other(queues);
    EXPECT_EQ(NetDevice::Create(other, Options()).status().code(),
              absl::StatusCode::kFailedPrecondition)
        << queues;
  }
}

TEST_F(NetDeviceStateTest, Row147_RequestsAndCommandsAreAnsweredWithoutATap) {
  NewNet();  // and no TAP: a successor may wait for it as long as it likes
  ResetAndRestart();
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  OfferTx(1);
  const uint32_t update = device.SendIotlbUpdate(0, UINT64_MAX);
  const uint32_t state = device.SendQueueState(kTx);
  ASSERT_TRUE(net->Serve(Now()).ok());
  EXPECT_EQ(device.ReplyTo(update)->result, VDUSE_REQ_RESULT_OK);
  EXPECT_EQ(device.ReplyTo(state)->result, VDUSE_REQ_RESULT_OK);
  EXPECT_EQ(device.ReplyTo(state)->vq_state.split.avail_index, kBase)
      << "the packet waits";
}

}  // namespace
}  // namespace net
