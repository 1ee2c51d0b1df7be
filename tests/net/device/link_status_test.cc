// SPDX-License-Identifier: Apache-2.0
//
// The link that a driver is shown, and the interrupts about it, without a
// NetDevice and on the test's own clock.
#include "net/device/link_status.h"

#include <gtest/gtest.h>
#include <linux/virtio_config.h>

#include "base/log.h"
#include "net/wire/config_space.h"
#include "tests/support/fake_device.h"
#include "tests/support/instant.h"

namespace net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Announcement = LinkStatus::Announcement;
using Verdict = LinkStatus::Verdict;

class LinkStatusTest : public testing::Test {
 protected:
  LinkStatusTest() { base::SetMinLogSeverity(static_cast<base::Severity>(99)); }

  // The kernel delivers interrupts from now on.
  void PutDriverOkInForce() {
    device.SendStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
                      VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
    vduse_dev_response response = {};
    response.request_id = device.ReadRequest().value()->request_id;
    ASSERT_TRUE(device.Reply(response).ok());
  }

  uint16_t Shown() {
    const std::vector<uint8_t> config = device.config();
    return static_cast<uint16_t>(config[6] | config[7] << 8);
  }

  // Serves every deadline up to `end`.
  Verdict RunUntil(Instant end) {
    while (link.deadline() && *link.deadline() <= end) {
      now = std::max(now, *link.deadline());
      if (link.OnTimer(now) == Verdict::kNotInForce) {
        return Verdict::kNotInForce;
      }
    }
    now = end;
    return Verdict::kFine;
  }

  tests::FakeDevice device;
  LinkStatus link{device};
  Instant now = tests::At(seconds(1000));
};

TEST_F(LinkStatusTest, TheLinkIsDownUntilTheTapsLinkIsUp) {
  link.Update(now);
  EXPECT_EQ(Shown(), 0);
  link.SetTapLink(true, now);
  EXPECT_EQ(Shown(), kStatusLinkUp);
  link.SetTapLink(false, now);
  EXPECT_EQ(Shown(), 0);
  EXPECT_FALSE(link.deadline()) << "there is no driver to interrupt";
}

TEST_F(LinkStatusTest, ABrokenQueueKeepsTheLinkDown) {
  link.SetTapLink(true, now);
  link.MarkBroken(now);
  EXPECT_EQ(Shown(), 0);
  link.SetTapLink(true, now);
  EXPECT_EQ(Shown(), 0);
  link.ClearBroken();
  link.Update(now);
  EXPECT_EQ(Shown(), kStatusLinkUp);
}

TEST_F(LinkStatusTest, ANewDriverEndsTheFaultsOfTheLast) {
  link.SetTapLink(true, now);
  link.MarkBroken(now);
  link.StopDriver();
  link.Update(now);
  EXPECT_EQ(Shown(), 0);
  link.StartDriver(Announcement::kNotWanted, now);
  EXPECT_EQ(Shown(), kStatusLinkUp);
}

TEST_F(LinkStatusTest, WhatAnEarlierProcessShowedStaysUntilTheLinkIsKnown) {
  link.SetTapLink(true, now);
  LinkStatus successor(device);
  successor.ForgetShown();
  successor.Update(now);
  successor.StartDriver(Announcement::kNotWanted, now);
  EXPECT_EQ(Shown(), kStatusLinkUp);
  successor.SetTapLink(false, now);
  EXPECT_EQ(Shown(), 0);
}

TEST_F(LinkStatusTest, EachChangeInterruptsTheDriverOnce) {
  PutDriverOkInForce();
  link.StartDriver(Announcement::kNotWanted, now);
  EXPECT_EQ(RunUntil(now + seconds(1)), Verdict::kFine);
  EXPECT_EQ(device.config_injects(), 1U) << "it may have read too early";
  link.SetTapLink(true, now);
  EXPECT_EQ(device.config_injects(), 2U);
  link.SetTapLink(true, now);
  EXPECT_EQ(RunUntil(now + seconds(1)), Verdict::kFine);
  EXPECT_EQ(device.config_injects(), 2U) << "nothing changed";
}

TEST_F(LinkStatusTest, ARefusedInterruptIsRetriedAtGrowingDistances) {
  link.StartDriver(Announcement::kNotWanted, now);
  for (const int ms : {1, 1, 2, 4, 8, 16, 32, 64, 100, 100}) {
    ASSERT_EQ(link.deadline(), now + milliseconds(ms));
    now = *link.deadline();
    ASSERT_EQ(link.OnTimer(now), Verdict::kFine);
  }
  PutDriverOkInForce();
  EXPECT_EQ(RunUntil(now + seconds(1)), Verdict::kFine);
  EXPECT_EQ(device.config_injects(), 1U);
  EXPECT_FALSE(link.deadline());
}

TEST_F(LinkStatusTest, ADriverOkThatIsNotInForceIsNoticedAfterTenSeconds) {
  link.StartDriver(Announcement::kNotWanted, now);
  const Instant began = now;
  EXPECT_EQ(RunUntil(began + seconds(20)), Verdict::kNotInForce);
  EXPECT_GE(now, began + LinkStatus::kInForceLimit);
  EXPECT_LE(now, began + LinkStatus::kInForceLimit + LinkStatus::kLastRetry);
  link.LimitDriver(Announcement::kNotWanted);
  link.SetTapLink(true, now);
  EXPECT_EQ(Shown(), kStatusLinkUp);
  EXPECT_FALSE(link.deadline()) << "it gets no interrupts any more";
}

TEST_F(LinkStatusTest, AChangeAfterTheLimitLeavesTheVerdictToTheTimer) {
  link.StartDriver(Announcement::kNotWanted, now);
  now += LinkStatus::kInForceLimit;
  link.SetTapLink(true, now);
  EXPECT_EQ(Shown(), kStatusLinkUp);
  EXPECT_EQ(link.deadline(), now);
  EXPECT_EQ(link.OnTimer(now), Verdict::kNotInForce);
}

TEST_F(LinkStatusTest, ADriverThatEndsIsOwedNothing) {
  link.StartDriver(Announcement::kWanted, now);
  link.SetTapLink(true, now);
  link.StopDriver();
  EXPECT_FALSE(link.deadline());
}

TEST_F(LinkStatusTest, AnAnnouncementIsAskedForOnceTheLinkHasBeenUpForAWhile) {
  PutDriverOkInForce();
  link.StartDriver(Announcement::kWanted, now);
  RunUntil(now + seconds(1));
  EXPECT_EQ(Shown(), 0) << "not while the link is down";
  link.SetTapLink(true, now);
  RunUntil(now + LinkStatus::kAnnounceDelay - Duration{1});
  EXPECT_EQ(Shown(), kStatusLinkUp);
  const uint64_t before = device.config_injects();
  RunUntil(now + Duration{1});
  EXPECT_EQ(Shown(), kStatusLinkUp | kStatusAnnounce);
  EXPECT_EQ(device.config_injects(), before + 1);
  EXPECT_TRUE(link.EndAnnouncement());
  EXPECT_EQ(Shown(), kStatusLinkUp);
  RunUntil(now + seconds(1));
  EXPECT_EQ(Shown(), kStatusLinkUp) << "asked once";
}

TEST_F(LinkStatusTest, AnAnnouncementIsAskedForAnewAfterTheLinkWasDown) {
  PutDriverOkInForce();
  link.SetTapLink(true, now);
  link.StartDriver(Announcement::kWanted, now);
  RunUntil(now + seconds(1));
  ASSERT_EQ(Shown(), kStatusLinkUp | kStatusAnnounce);
  link.SetTapLink(false, now);
  EXPECT_EQ(Shown(), 0);
  link.SetTapLink(true, now);
  EXPECT_EQ(Shown(), kStatusLinkUp);
  RunUntil(now + seconds(1));
  EXPECT_EQ(Shown(), kStatusLinkUp | kStatusAnnounce);
}

TEST_F(LinkStatusTest, TheNextDriverIsNotAskedForTheLastOnesAnnouncement) {
  link.SetTapLink(true, now);
  link.StartDriver(Announcement::kWanted, now);
  link.StopDriver();
  link.Update(now);
  link.StartDriver(Announcement::kNotWanted, now);
  PutDriverOkInForce();
  RunUntil(now + seconds(1));
  EXPECT_EQ(Shown(), kStatusLinkUp);
}

}  // namespace
}  // namespace net
