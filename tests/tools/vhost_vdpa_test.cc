// SPDX-License-Identifier: Apache-2.0
//
// What a VMM may do to a running device by /dev/vhost-vdpa-N, call by call:
// queues that come late, one queue of a pair, several regions of memory with
// different rights, regions that go away, resets in every state, address
// spaces, suspend. Runs in the test VM; these variables describe it:
//   VHOST   the device                           (/dev/vhost-vdpa-0)
//   TAP     its TAP, up                          (tap0)
//   MODULE  open: it has a control queue; stock: it has none
//   KERNEL  6.12, or 7.3: queue groups, suspend
// The device runs with --tx-usecs 1000000 --tx-frames 1000.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "tests/tools/vhost_vdpa_fixture.h"

namespace tools {
namespace {

TEST_F(VhostVdpaTest, AResetInEveryStateIsFollowedByALife) {
  const uint8_t steps[] = {kAcknowledge, kAcknowledge | kDriver,
                           kAcknowledge | kDriver | kFeaturesOk};
  for (size_t count = 0; count <= std::size(steps); ++count) {
    SCOPED_TRACE(count);
    for (size_t i = 0; i < count; ++i) vhost->SetStatus(steps[i]);
    vhost->SetStatus(0);
    vhost->SetStatus(0);
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_NO_FATAL_FAILURE(ExpectWorks());
    // Buffers of both kinds are under way.
    for (int i = 0; i < 8; ++i) OfferRx();
    OfferTx(NextFrame());
    tx->Kick();
    vhost->SetStatus(0);
    FromTap(100);
  }
}

TEST_F(VhostVdpaTest, QueuesMayBecomeReadyAfterDriverOk) {
  ASSERT_NO_FATAL_FAILURE(Negotiate());
  PlaceQueues();
  DriverOk();
  const Bytes in = NextFrame();
  const Bytes out = NextFrame();
  OfferRx();
  OfferTx(out);
  rx->Kick();  // Nobody listens yet.
  tx->Kick();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  Enable({kRx});
  SendToTap(in);
  const auto used = Used(*rx);
  ASSERT_TRUE(used);
  EXPECT_EQ(FrameOf(*used), in);
  EXPECT_EQ(FromTap(50), Bytes()) << "tx is not ready";
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  Enable({kTx});
  EXPECT_EQ(FromTap(), out);
  ASSERT_TRUE(Used(*tx));
  ExpectWorks();
}

TEST_F(VhostVdpaTest, TxAloneOfAPair) {
  ASSERT_NO_FATAL_FAILURE(Negotiate());
  PlaceQueues();
  Enable({kTx});
  DriverOk();
  for (int i = 0; i < 200; ++i) ASSERT_NO_FATAL_FAILURE(ExpectTransmits());
}

TEST_F(VhostVdpaTest, RxAloneOfAPair) {
  ASSERT_NO_FATAL_FAILURE(Negotiate());
  PlaceQueues();
  Enable({kRx});
  DriverOk();
  for (int i = 0; i < 200; ++i) ASSERT_NO_FATAL_FAILURE(ExpectReceives());
}

TEST_F(VhostVdpaTest, AQueueTakenAwayGoesOnWhereItStopped) {
  if (!IsNewKernel()) return;  // The device does not hear of it.
  ASSERT_NO_FATAL_FAILURE(Start());
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(round);
    for (int i = 0; i < 5; ++i) ASSERT_NO_FATAL_FAILURE(ExpectWorks());
    vhost->Disable(kTx);
    const Bytes frame = NextFrame();
    OfferTx(frame);
    tx->Kick();
    ASSERT_EQ(FromTap(20), Bytes());
    ASSERT_NO_FATAL_FAILURE(ExpectReceives());
    vhost->Enable(kTx);
    ASSERT_EQ(FromTap(), frame);
    ASSERT_TRUE(Used(*tx));
    ASSERT_EQ(FromTap(20), Bytes()) << "sent twice";
  }
}

TEST_F(VhostVdpaTest, BuffersMayCrossRegionsOfSeveralFiles) {
  // Each page is a region of its own; the device may only read the first two
  // and only write the next two.
  uint8_t* readable = vhost->AddRegion(kApart, kPage, Access::kRead);
  uint8_t* more = vhost->AddRegion(kApart + kPage, kPage, Access::kRead);
  vhost->AddRegion(kApart + 2 * kPage, kPage, Access::kWrite);
  vhost->AddRegion(kApart + 3 * kPage, kPage, Access::kWrite);
  ASSERT_NO_FATAL_FAILURE(Start());
  for (size_t before = 1; before < 200; before += 13) {
    // A frame of which `before` bytes are in the first region.
    const Bytes out = NextFrame();
    std::memcpy(readable + kPage - before, out.data(), before);
    std::memcpy(more, out.data() + before, out.size() - before);
    tx->Chain()
        .Readable(Bytes(net::kHeaderBytes))
        .ReadableAt(kApart + kPage - before, static_cast<uint32_t>(out.size()))
        .Offer();
    tx->Kick();
    ASSERT_EQ(FromTap(), out);
    ASSERT_TRUE(Used(*tx));

    const Bytes in = NextFrame();
    rx->Chain().WritableAt(kApart + 3 * kPage - before, 2048).Offer();
    rx->Kick();
    SendToTap(in);
    const auto used = Used(*rx);
    ASSERT_TRUE(used);
    ASSERT_EQ(FrameOf(*used), in);
  }
}

TEST_F(VhostVdpaTest, WhatTheDeviceMayOnlyReadStaysAsItIs) {
  const uint8_t* readable = vhost->AddRegion(kApart, kPage, Access::kRead);
  ASSERT_NO_FATAL_FAILURE(Start());
  rx->Chain().WritableAt(kApart, 2048).Offer();
  OfferRx();
  rx->Kick();
  const Bytes frame = NextFrame();
  SendToTap(frame);
  const auto refused = Used(*rx);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->len, 0U);
  const auto used = Used(*rx);
  ASSERT_TRUE(used);
  EXPECT_EQ(FrameOf(*used), frame) << "the next buffer gets it";
  EXPECT_EQ(Bytes(readable, readable + kPage), Bytes(kPage));
  ExpectWorks();
}

TEST_F(VhostVdpaTest, TheWholeAddressSpaceIsUpdatedUnderTraffic) {
  vhost->AddRegion(kApart, kPage);
  ASSERT_NO_FATAL_FAILURE(Start());
  std::atomic<bool> stop = false;
  std::atomic<uint32_t> updates = 0;
  std::thread updater([&] {
    while (!stop) {
      // Somewhere else, but the kernel says that everything has changed.
      vhost->Unmap(kApart);
      vhost->Map(kApart);
      updates += 2;
    }
  });
  for (int i = 0; i < 2000 && !HasFatalFailure(); ++i) ExpectWorks();
  stop = true;
  updater.join();
  EXPECT_GE(updates, 100U);
}

TEST_F(VhostVdpaTest, BuffersWhoseMemoryGoesAwayAreReturned) {
  uint8_t* data = vhost->AddRegion(kApart, kPage);
  ASSERT_NO_FATAL_FAILURE(Start());
  const auto offer = [&](const Bytes& frame) {
    std::memcpy(data, frame.data(), frame.size());
    tx->Chain()
        .Readable(Bytes(net::kHeaderBytes))
        .ReadableAt(kApart, static_cast<uint32_t>(frame.size()))
        .Offer();
    tx->Kick();
  };
  for (int i = 0; i < 50; ++i) {
    const Bytes sent = NextFrame();
    offer(sent);
    ASSERT_EQ(FromTap(), sent);
    ASSERT_TRUE(Used(*tx));
    vhost->Unmap(kApart);
    offer(NextFrame());
    ASSERT_TRUE(Used(*tx)) << "lost";
    ASSERT_NO_FATAL_FAILURE(ExpectWorks());
    vhost->Map(kApart);
  }
  EXPECT_EQ(FromTap(50), Bytes()) << "sent from memory that was gone";
}

TEST_F(VhostVdpaTest, TheNextOwnerIsServedWhenOneDiesInTraffic) {
  for (int life = 0; life < 20; ++life) {
    SCOPED_TRACE(life);
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_NO_FATAL_FAILURE(ExpectWorks());
    for (int i = 0; i < 8; ++i) OfferRx();
    OfferTx(NextFrame());
    tx->Kick();
    // No reset, as when a VMM is killed; its memory goes with it.
    rx.reset();
    tx.reset();
    memory.reset();
    vhost.reset();
    while (!FromTap(20).empty()) continue;
    vhost.emplace(Variable("VHOST", "/dev/vhost-vdpa-0"));
    AddMemory();
  }
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectWorks();
}

// --- Address spaces ----------------------------------------------------------

TEST_F(VhostVdpaTest, DataQueuesInAnotherAddressSpace) {
  if (!IsNewKernel() || !HasControlQueue()) {
    EXPECT_EQ(vhost->address_spaces(), 1U) << "there is one group at most";
    EXPECT_EQ(vhost->SetGroupAsid(0, 1), EINVAL);
    return;
  }
  ASSERT_GE(vhost->address_spaces(), 2U);
  ASSERT_EQ(vhost->GroupOf(kRx), vhost->GroupOf(kTx));
  ASSERT_EQ(vhost->SetGroupAsid(vhost->GroupOf(kRx), 1), 0);
  // The same addresses, and other memory.
  AddMemory(1);
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectWorks();
  vhost->SetStatus(0);
  ASSERT_EQ(vhost->SetGroupAsid(vhost->GroupOf(kRx), 0), 0);
}

// NOTF_COAL_{RX,TX}_SET (virtio 1.3, 5.1.6.5.9).
constexpr uint8_t kNotfCoal = 6;
constexpr uint8_t kNotfCoalTxSet = 0;

TEST_F(VhostVdpaTest, ControlQueueInAnAddressSpaceOfItsOwn) {
  if (!HasControlQueue()) {
    EXPECT_EQ(vhost->OfferedFeatures() & Bit(net::kFeatureCtrlVq), 0U);
    return;
  }
  constexpr uint32_t kSpace = 1;
  uint32_t asid = 0;
  if (IsNewKernel()) {
    ASSERT_NE(vhost->GroupOf(kCtrl), vhost->GroupOf(kRx));
    ASSERT_EQ(vhost->SetGroupAsid(vhost->GroupOf(kCtrl), kSpace), 0);
    asid = kSpace;
  }
  // At the addresses of the data queues, if that is another address space.
  const uint64_t at = asid == kSpace ? kMemory : kApart;
  DriverMemory own(vhost->AddRegion(at, kMemoryBytes, Access::kReadWrite, asid),
                   at, kMemoryBytes);
  ASSERT_NO_FATAL_FAILURE(Negotiate());
  PlaceQueues();
  DriverQueue ctrl(*vhost, own, {.index = kCtrl, .size = 16});
  Enable({kRx, kTx, kCtrl});
  DriverOk();

  // tx_max_packets 0 and tx_usecs 0: notifications at once.
  const Bytes off = {kNotfCoal, kNotfCoalTxSet, 0, 0, 0, 0, 0, 0, 0, 0};
  const auto command = [&](const Bytes& bytes) {
    ctrl.Chain().Readable(bytes).Writable(1).Offer();
    ctrl.Kick();
    const auto used = Used(ctrl);
    return used && used->bytes.size() == 1 ? used->bytes[0] : 0xff;
  };
  OfferTx(NextFrame());
  tx->Kick();
  ASSERT_TRUE(Used(*tx));
  EXPECT_FALSE(vhost->TakeCall(kTx, 100)) << "the operator's values hold it";
  EXPECT_EQ(command(off), 0);
  EXPECT_TRUE(vhost->TakeCall(kTx, 1000));
  EXPECT_EQ(command({kNotfCoal, 77}), 1) << "no such command";
  FromTap(100);
  ExpectWorks();
  vhost->SetStatus(0);
  if (asid != 0) {
    ASSERT_EQ(vhost->SetGroupAsid(vhost->GroupOf(kCtrl), 0), 0);
  }
}

// --- Suspend ----------------------------------------------------------------

TEST_F(VhostVdpaTest, SuspendLeavesNoNotificationOwed) {
  ASSERT_NO_FATAL_FAILURE(Start());
  if (!IsNewKernel()) {
    EXPECT_EQ(vhost->Suspend(), EOPNOTSUPP);
    ExpectWorks();
    return;
  }
  constexpr uint16_t kSent = 5;
  for (int i = 0; i < 3; ++i) ASSERT_NO_FATAL_FAILURE(ExpectReceives());
  OfferRx();
  for (int i = 0; i < kSent; ++i) ASSERT_NO_FATAL_FAILURE(ExpectTransmits());
  ASSERT_FALSE(vhost->TakeCall(kTx, 50))
      << "held back by the operator's values";

  ASSERT_EQ(vhost->Suspend(), 0);
  EXPECT_TRUE(vhost->TakeCall(kTx, 0)) << "still owed after the suspend";
  EXPECT_EQ(vhost->Position(kTx), kSent);
  EXPECT_EQ(vhost->Position(kRx), 3) << "the offered buffer is not taken";

  // Nothing moves any more, and nothing changes in the rings.
  OfferTx(NextFrame());
  tx->Kick();
  SendToTap(NextFrame());
  EXPECT_EQ(FromTap(200), Bytes());
  EXPECT_FALSE(Used(*tx, 0));
  EXPECT_FALSE(Used(*rx, 0));
  EXPECT_FALSE(vhost->TakeCall(kTx, 0));

  // This is the moment to save the state.
  const std::string save = Variable("SAVE", "");
  if (!save.empty()) {
    EXPECT_EQ(system(save.c_str()), 0) << save;
  }
  // Only a reset ends it. The next driver's queues begin where these were.
  const uint16_t rx_position = vhost->Position(kRx);
  const uint16_t tx_position = vhost->Position(kTx);
  vhost->SetStatus(0);
  ASSERT_NO_FATAL_FAILURE(Negotiate());
  PlaceQueues(rx_position, tx_position);
  Enable({kRx, kTx});
  DriverOk();
  OfferRx();
  rx->Kick();
  Used(*rx);  // What came meanwhile.
  ExpectWorks();
}

}  // namespace
}  // namespace tools
