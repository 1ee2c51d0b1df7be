// SPDX-License-Identifier: Apache-2.0
//
// From reset to DRIVER_OK and back.
#include "net/device/net_device.h"

#include "tests/net/device/net_device_fixture.h"

namespace net {
namespace {

TEST_F(NetDeviceTest, PacketsFlowBothWaysAndCommandsAreAnswered) {
  ASSERT_TRUE(Activate());
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(Transmits()) << i;
    ASSERT_TRUE(Receives()) << i;
    ASSERT_EQ(Command(SetAll(0, {1, 0})), Bytes{0}) << i;
  }
  EXPECT_GE(net->Summary().size(), 3U);
}

TEST_F(NetDeviceTest, TheQueuesOfTheDeviceMustBeThoseOfTheOptions) {
  tests::FakeDevice small(2);
  EXPECT_TRUE(
      absl::IsFailedPrecondition(NetDevice::Create(small, Options()).status()));
  NetDevice::Options options = Options();
  options.features = WithoutControlQueue(options.features);
  EXPECT_TRUE(NetDevice::Create(small, options).ok());
  EXPECT_TRUE(
      absl::IsFailedPrecondition(NetDevice::Create(device, options).status()));
}

TEST_F(NetDeviceTest, Row1_WhatWasNotOfferedIsRefused) {
  ASSERT_TRUE(Status(kDriver));
  for (const unsigned bit : {10U, 40U, 34U, 62U}) {
    device.SetFeatures(kOfferedFeatures | Bit(bit));
    EXPECT_FALSE(Status(kFeaturesOk)) << bit;
    EXPECT_FALSE(Status(kDriverOk)) << bit;
    EXPECT_FALSE(net->driver_ok());
  }
  EXPECT_TRUE(Activate()) << "nothing is left of it";
  EXPECT_TRUE(Transmits());
}

TEST_F(NetDeviceTest, Row2_ADriverOfOldIsRefused) {
  device.SetFeatures(kOfferedFeatures & ~Bit(kFeatureVersion1));
  EXPECT_FALSE(Status(kFeaturesOk));
  device.SetFeatures(kOfferedFeatures & ~Bit(kFeatureAccessPlatform));
  EXPECT_FALSE(Status(kDriverOk));
}

TEST_F(NetDeviceTest, Row3_CoalescingWithoutAControlQueueIsRefused) {
  device.SetFeatures(kOfferedFeatures & ~Bit(kFeatureCtrlVq));
  EXPECT_FALSE(Status(kFeaturesOk));
}

TEST_F(NetDeviceTest, Row4_DriverOkWithoutFeaturesOkIsRefused) {
  device.SetFeatures(kOfferedFeatures);
  EXPECT_FALSE(Status(kDriver | VIRTIO_CONFIG_S_DRIVER_OK));
  EXPECT_FALSE(Status(VIRTIO_CONFIG_S_DRIVER_OK));
  EXPECT_FALSE(net->driver_ok());
}

TEST_F(NetDeviceTest, Row4_EarlyBitsMayBeSkippedAsQemuDoes) {
  device.SetFeatures(kOfferedFeatures);
  EXPECT_TRUE(Status(VIRTIO_CONFIG_S_FEATURES_OK));
  EXPECT_TRUE(Status(VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK));
  EXPECT_TRUE(net->driver_ok());
}

TEST_F(NetDeviceTest, Row5_RepeatedAndClearedBitsChangeNothing) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  for (const uint8_t status :
       {kDriverOk, kDriverOk, kFeaturesOk, kDriver, kAcknowledge, kDriverOk}) {
    EXPECT_TRUE(Status(status));
    ASSERT_TRUE(net->driver_ok());
  }
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
}

TEST_F(NetDeviceTest, Row5_FailedStopsTheDevice) {
  for (const uint8_t status : {uint8_t{kDriverOk | VIRTIO_CONFIG_S_FAILED},
                               uint8_t{VIRTIO_CONFIG_S_FAILED}, uint8_t{255}}) {
    ASSERT_TRUE(Activate());
    ASSERT_TRUE(Transmits());
    EXPECT_TRUE(Status(status));
    EXPECT_FALSE(net->driver_ok());
    OfferTx(1);
    LetWorkerStep();
    EXPECT_FALSE(tx.TakeUsed());
    ResetAndRestart();
  }
}

TEST_F(NetDeviceTest, Row6_WhatIsReadyRuns) {
  for (const uint32_t queue : {kRx, kTx, kCtrl}) device.SetReady(queue, false);
  EXPECT_TRUE(Activate());
  ResetAndRestart();
  device.SetReady(kTx, false);
  device.SetReady(kCtrl, false);
  EXPECT_TRUE(Activate());
  EXPECT_TRUE(Receives());
}

TEST_F(NetDeviceTest, Row7_AQueueOfAnImpossibleSizeIsRefusedAlone) {
  for (const uint32_t size : {0U, 3U, 255U, 32769U, 65535U, 65536U}) {
    vduse::QueueInfo info = tx.info();
    info.size = size;
    device.SetQueue(kTx, info);
    ASSERT_TRUE(Activate());
    OfferTx(1);
    EXPECT_TRUE(Receives()) << size;
    EXPECT_EQ(Command(SetAll(0, {1, 0})), Bytes{0});
    EXPECT_FALSE(tx.TakeUsed());
    EXPECT_EQ(Get(1), (Bytes{0, 0, 0, 0, 0, 0, 0, 0, 1})) << "not enabled";
    ResetAndRestart();
  }
}

TEST_F(NetDeviceTest, Row8_AQueueIsSetUpOnceAndForAll) {
  ASSERT_TRUE(Activate());
  for (const uint32_t queue : {kRx, kTx, kCtrl}) {
    device.SetQueue(queue, {.size = 3, .desc_addr = 7, .ready = true});
  }
  device.SendIotlbUpdate(0, UINT64_MAX);
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
  EXPECT_EQ(Command(SetAll(0, {1, 0})), Bytes{0});
}

TEST_F(NetDeviceTest, Row9_AQueueThatIsReadyLateIsFoundWithoutAWord) {
  device.SetReady(kTx, false);
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(Receives());
  device.SetReady(kTx, true);
  tx.Chain().Readable(Bytes(72)).Offer();  // and no kick
  EXPECT_TRUE(Pump([&] { return !!tx.TakeUsed(); }));
}

TEST_F(NetDeviceTest, Row9_ALateQueueIsLookedForEverMoreRarelyUntilAKick) {
  device.SetReady(kTx, false);
  ASSERT_TRUE(Activate());
  std::vector<Instant> looks;
  while (const std::optional<Instant> due = net->deadline()) {
    const uint64_t interrupts = device.config_injects();
    ASSERT_TRUE(net->Serve(*due).ok());
    if (device.config_injects() == interrupts) looks.push_back(*due);
    ASSERT_LT(looks.size(), 100U);
  }
  ASSERT_EQ(looks.size(), 13U);
  Duration between = std::chrono::milliseconds(1);
  for (size_t i = 1; i < looks.size(); ++i) {
    between *= 2;
    EXPECT_EQ(looks[i] - looks[i - 1], between) << i;
  }
  device.SetReady(kTx, true);
  tx.Chain().Readable(Bytes(72)).Offer();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(net->Serve(Now()).ok());
  EXPECT_FALSE(tx.TakeUsed());
  tx.Kick();
  EXPECT_TRUE(Pump([&] { return !!tx.TakeUsed(); }));
}

TEST_F(NetDeviceTest, Row10_MisalignedRingsAreRefusedAlone) {
  vduse::QueueInfo info = rx.info();
  ++info.desc_addr;
  device.SetQueue(kRx, info);
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(Transmits());
}

TEST_F(NetDeviceTest, Row13_RingsThatGetMappedLaterRun) {
  device.RemoveRegion(tests::DriverMemory::kStart);
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(net->Serve(Now()).ok());
  tests::DriverMemory later(device);
  tests::DriverQueue late_tx(device, later, {.index = kTx, .size = kSize});
  late_tx.Chain().Readable(Bytes(72)).Offer();
  device.SendIotlbUpdate(0, UINT64_MAX);
  EXPECT_TRUE(Pump([&] { return !!late_tx.TakeUsed(); }));
}

TEST_F(NetDeviceTest, Row15_OnlyQueuesThatAreThereHaveAState) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  const auto state = [&](uint32_t queue) {
    const uint32_t id = device.SendQueueState(queue);
    EXPECT_TRUE(net->Serve(Now()).ok());
    return *device.ReplyTo(id);
  };
  EXPECT_EQ(state(kTx).vq_state.split.avail_index, kBase + 1);
  EXPECT_EQ(state(kRx).vq_state.split.avail_index, kBase);
  EXPECT_EQ(state(kCtrl).vq_state.split.avail_index, kBase);
  for (const uint32_t queue : {3U, 0xffffU, UINT32_MAX}) {
    EXPECT_EQ(state(queue).result, uint32_t{VDUSE_REQ_RESULT_FAILED});
  }
  ASSERT_TRUE(Status(0));
  EXPECT_EQ(state(kTx).vq_state.split.avail_index, kBase + 1)
      << "where it stopped";
}

TEST_F(NetDeviceTest, Row138_AnIndexCountsWithAllItsBits) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  for (const unsigned bit : {8U, 15U, 16U, 31U}) {
    for (const uint32_t queue : {kRx, kTx, kCtrl}) {
      const uint32_t beyond = queue + (1U << bit);
      EXPECT_EQ(Answer(device.SendQueueState(beyond)),
                uint32_t{VDUSE_REQ_RESULT_FAILED});
      net->OnQueueReady(beyond, false);
    }
    EXPECT_FALSE(net->OnGroupAsid(kCtrlGroup + (1U << bit), 1).ok());
    EXPECT_FALSE(net->OnGroupAsid(kCtrlGroup, 1U << bit).ok());
  }
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
  EXPECT_EQ(Command(SetAll(0, {1, 0})), Bytes{0});
}

TEST_F(NetDeviceTest, Row18_NothingIsWrittenOnceAResetIsAnswered) {
  ASSERT_TRUE(Activate());
  for (uint8_t i = 1; i < kSize; ++i) OfferTx(i);
  rx.Chain().Writable(2048).Offer();
  rx.Kick();
  ASSERT_TRUE(Status(0));
  OfferTx(1);
  const uint64_t injects = device.injects(kTx) + device.injects(kRx);
  const Bytes before = device.Peek(tests::DriverMemory::kStart, 64 << 10);
  EXPECT_TRUE(SendToDevice(kMac));
  LetWorkerStep();
  EXPECT_EQ(device.Peek(tests::DriverMemory::kStart, 64 << 10), before);
  EXPECT_EQ(device.injects(kTx) + device.injects(kRx), injects);
}

TEST_F(NetDeviceTest, Row18_TenThousandResetsLeaveNothingBehind) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ResetAndRestart();
  const size_t fds = OpenFds();
  for (int i = 0; i < 10'000; ++i) {
    switch (i % 4) {
      case 0:
        ASSERT_TRUE(Activate());
        OfferTx(1);
        break;
      case 1:  // other features each time
        ASSERT_TRUE(Activate(kOfferedFeatures & ~Bit(kFeatureMrgRxbuf)));
        break;
      default:;  // nothing to reset
    }
    ASSERT_TRUE(Status(0));
    tx.Restart(kBase);
    rx.Restart(kBase);
    ctrl.Restart(kBase);
  }
  EXPECT_EQ(OpenFds(), fds);
  ASSERT_TRUE(Activate());
  for (std::array<uint8_t, 128> stale;
       recv(wire.get(), stale.data(), stale.size(), 0) > 0;) {
  }
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
}

TEST_F(NetDeviceTest, Row53_AKickBeforeDriverOkDoesNothing) {
  OfferTx(1);
  OfferCommand(SetAll(0, {1, 0}));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(net->Serve(Now()).ok());
  EXPECT_FALSE(tx.TakeUsed());
  EXPECT_FALSE(ctrl.TakeUsed());
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(Pump([&] { return tx.TakeUsed() && ctrl.TakeUsed(); }))
      << "what was offered meanwhile is found";
}

TEST_F(NetDeviceTest, Row116_TheControlQueueNeedsNoDataQueues) {
  device.SetReady(kRx, false);
  device.SetReady(kTx, false);
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Command(SetAll(1, {4, 40})), Bytes{0});
  EXPECT_EQ(Command(VqSet(kTx, {4, 40})), Bytes{1}) << "not enabled";
  device.SetReady(kRx, true);
  device.SetReady(kTx, true);
  EXPECT_TRUE(Receives());
  const Bytes reply = {4, 0, 0, 0, 40, 0, 0, 0, 0};
  EXPECT_EQ(Command({6, 3, 0, 0, 0, 0}, 9), reply)
      << "what was set for all reaches the queue that came late";
}

TEST_F(NetDeviceTest, Row116_AControlQueueThatIsReadyLateIsServed) {
  device.SetReady(kCtrl, false);
  ASSERT_TRUE(Activate());
  OfferCommand(SetAll(1, {4, 40}));
  EXPECT_TRUE(Transmits());
  device.SetReady(kCtrl, true);
  EXPECT_TRUE(Pump([&] { return !!ctrl.TakeUsed(); }));
}

TEST_F(NetDeviceTest, Row118_UpdatesOfTheAddressSpaceDisturbNothing) {
  ASSERT_TRUE(Activate());
  for (uint64_t i = 0; i < 200; ++i) {
    device.SendIotlbUpdate(0, UINT64_MAX);
    ASSERT_TRUE(Transmits()) << i;
    device.SendIotlbUpdate(tests::DriverMemory::kStart + 4096 * i,
                           tests::DriverMemory::kStart + 4096 * i);
    ASSERT_TRUE(Receives()) << i;
    ASSERT_EQ(Command(SetAll(0, {1, 0})), Bytes{0});
  }
}

TEST_F(NetDeviceTest, Row122_ACommandIsAnsweredThoughTheRingsWereOutOfReach) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Pump([&] { return device.config_injects() > 0; }));
  ASSERT_EQ(Command(SetAll(0, {1, 0})), Bytes{0});
  device.SendIotlbUpdate(0, UINT64_MAX);
  device.FailLookups(1000, absl::ResourceExhaustedError(""));
  OfferCommand(SetAll(0, {1, 0}));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(net->Serve(Now()).ok());
  ASSERT_FALSE(ctrl.TakeUsed());
  ASSERT_TRUE(net->deadline()) << "nobody kicks again: the driver waits";
  EXPECT_LE(*net->deadline(), Now() + std::chrono::seconds(1));
  device.FailLookups(0, absl::OkStatus());
  EXPECT_TRUE(Pump([&] { return !!ctrl.TakeUsed(); }));
}

TEST_F(NetDeviceTest, Row17_ABrokenDeviceEndsIt) {
  ASSERT_TRUE(Activate());
  device.Break();
  EXPECT_TRUE(absl::IsAborted(net->Serve(Now())));
}

// Of 64 entries Linux has but 32 filled at times, with 48 KiB.
TEST_F(NetDeviceTest, ThePortIsNotAskedForWhatTheRingCannotHold) {
  static_assert(kSize == 64);
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  EXPECT_EQ(net->guest_offloads(), kGuestOffloads) << "the driver accepts it";
  EXPECT_EQ(net->port_offloads(), Bit(kFeatureGuestCsum));
}

TEST_F(NetDeviceTest, Row7_AQueueLargerThanOfferedIsRefusedAndNothingElse) {
  max_queue_size = kSize;
  NewNet();
  NewTap();
  tests::DriverQueue large{
      device, memory, {.index = kTx, .size = 2 * kSize, .base = kBase}};
  ASSERT_TRUE(Activate());
  large.Chain().Readable(Bytes(72, 0)).Offer();
  large.Kick();
  EXPECT_TRUE(Receives());
  EXPECT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  EXPECT_EQ(large.used_idx(), kBase);
  EXPECT_EQ(Command(VqSet(kTx, {1, 1})), Bytes{1}) << "it is not enabled";
  // It is looked at no more until it is set up anew.
  while (net->deadline()) ASSERT_TRUE(net->Serve(*net->deadline()).ok());
  ResetAndRestart();
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(Transmits());
}

}  // namespace
}  // namespace net
