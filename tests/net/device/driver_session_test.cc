// SPDX-License-Identifier: Apache-2.0
//
// The table of transitions in driver_session.h.
#include "net/device/driver_session.h"

#include <gtest/gtest.h>

namespace net {
namespace {

using Origin = DriverSession::Origin;
using Phase = DriverSession::Phase;
using Start = vduse::Virtqueue::Start;

constexpr uint64_t kFeatures = 5;

TEST(DriverSessionTest, ThereIsNoDriverAtFirst) {
  const DriverSession session;
  EXPECT_EQ(session.phase(), Phase::kNone);
  EXPECT_EQ(session.features(), 0U);
  EXPECT_FALSE(session.served());
  EXPECT_FALSE(session.may_have_missed_notifications());
}

TEST(DriverSessionTest, ADriverNegotiatesIsActiveAndIsReset) {
  DriverSession session;
  session.Negotiate(kFeatures);
  EXPECT_TRUE(session.awaits_driver_ok());
  EXPECT_EQ(session.features(), kFeatures);
  EXPECT_FALSE(session.served());
  session.Activate(kFeatures, Origin::kNew);
  EXPECT_TRUE(session.active());
  EXPECT_TRUE(session.served());
  EXPECT_FALSE(session.awaits_driver_ok());
  session.Reset();
  EXPECT_EQ(session.phase(), Phase::kNone);
  EXPECT_EQ(session.features(), 0U);
}

TEST(DriverSessionTest, CommandsAloneAreServedUntilTheDriverIsActive) {
  DriverSession session;
  session.Negotiate(kFeatures);
  session.LimitToCommands();
  EXPECT_TRUE(session.served());
  EXPECT_FALSE(session.active());
  session.Negotiate(kFeatures);
  EXPECT_TRUE(session.commands_only()) << "FEATURES_OK again changes nothing";
  session.Activate(kFeatures, Origin::kRecovered);
  EXPECT_TRUE(session.active());
  EXPECT_FALSE(session.commands_only());
}

TEST(DriverSessionTest, ADriverKeepsItsOriginWhenItsDriverOkIsLost) {
  DriverSession session;
  session.Activate(kFeatures, Origin::kContinues);
  session.Negotiate(kFeatures);
  session.LimitToCommands();
  EXPECT_EQ(session.origin(), Origin::kContinues);
}

TEST(DriverSessionTest, OnlyAResetEndsASuspend) {
  DriverSession session;
  session.Activate(kFeatures, Origin::kNew);
  session.Suspend();
  EXPECT_TRUE(session.suspended());
  EXPECT_FALSE(session.served());
  EXPECT_EQ(session.features(), 0U);
  session.End();
  EXPECT_TRUE(session.suspended());
  session.Reset();
  EXPECT_EQ(session.phase(), Phase::kNone);
}

TEST(DriverSessionTest, ASuccessorExpectsUsedRingsUntilTheDriverEnds) {
  DriverSession session;
  session.ExpectUsedRings();
  session.Negotiate(kFeatures);
  EXPECT_TRUE(session.recovers());
  session.LimitToCommands();
  EXPECT_TRUE(session.recovers());
  session.End();
  EXPECT_FALSE(session.recovers());
}

TEST(DriverSessionTest, TheOriginSaysHowAQueueStarts) {
  const struct {
    Origin origin;
    Start at_0;
    Start at_7;
    bool may_have_missed;
    bool kernel_has_positions;
  } kRows[] = {
      {Origin::kNew, Start::kFresh, Start::kFresh, false, true},
      {Origin::kContinues, Start::kFresh, Start::kFresh, true, true},
      {Origin::kMovedHere, Start::kRecovered, Start::kFresh, true, false},
      {Origin::kRecovered, Start::kRecovered, Start::kRecovered, true, false},
  };
  for (const auto& row : kRows) {
    DriverSession session;
    session.Activate(kFeatures, row.origin);
    SCOPED_TRACE(static_cast<int>(row.origin));
    EXPECT_EQ(session.StartOf({0}), row.at_0);
    EXPECT_EQ(session.StartOf({7}), row.at_7);
    EXPECT_EQ(session.may_have_missed_notifications(), row.may_have_missed);
    EXPECT_EQ(session.kernel_has_positions(), row.kernel_has_positions);
  }
}

}  // namespace
}  // namespace net
