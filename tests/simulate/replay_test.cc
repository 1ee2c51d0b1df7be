// SPDX-License-Identifier: Apache-2.0
#include "simulate/replay.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "simulate/setting.h"
#include "tests/support/instant.h"

namespace simulate {
namespace {

using coalesce::Setting;
using std::chrono::microseconds;
using std::chrono::nanoseconds;
using tests::At;

class ReplayTest : public testing::Test {
 protected:
  const Outcome& Run(const Arrivals& arrivals, const char* setting) {
    outcome_ = std::make_unique<Outcome>();
    Replay(arrivals, ParseSetting(setting).value(), surroundings_, *outcome_);
    EXPECT_EQ(outcome_->delay_ns.count(), arrivals.size()) << "none is lost";
    return *outcome_;
  }
  const Outcome& Run(const char* rule, uint64_t packets, const char* setting) {
    return Run(Generate(rule, packets, 1).value(), setting);
  }

  Surroundings surroundings_;
  std::unique_ptr<Outcome> outcome_;
};

TEST_F(ReplayTest, OffNotifiesOfEachAtOnce) {
  const Outcome& outcome = Run("steady:1000", 1000, "off");
  EXPECT_EQ(outcome.notifications, 1000U);
  EXPECT_EQ(outcome.delay_ns.max(), 0U);
  EXPECT_NEAR(outcome.per_second(), 1000, 2);
}

TEST_F(ReplayTest, ThePacketLimitBringsItAbout) {
  // 10 us apart, 8 at a time: waits of 70, 60, ... 0 us.
  const Outcome& outcome = Run("steady:100000", 8000, "1000/8");
  EXPECT_EQ(outcome.notifications, 1000U);
  EXPECT_EQ(outcome.delay_ns.max(), 70'000U);
  EXPECT_DOUBLE_EQ(outcome.mean_delay_usecs(), 35);
  EXPECT_DOUBLE_EQ(outcome.per_packet(), 0.125);
}

TEST_F(ReplayTest, TheDelayBringsItAbout) {
  // 95 us from the first, in which 9 more come.
  const Outcome& outcome = Run("steady:100000", 10'000, "95/64");
  EXPECT_EQ(outcome.notifications, 1000U);
  EXPECT_EQ(outcome.delay_ns.max(), 95'000U);
  EXPECT_DOUBLE_EQ(outcome.mean_delay_usecs(), 50);
}

TEST_F(ReplayTest, WhereTheTimerIsLateTheNextPacketBringsItAbout) {
  surroundings_.timer_lateness = microseconds(100);
  const Outcome& outcome = Run("steady:100000", 11'000, "95/64");
  EXPECT_EQ(outcome.notifications, 1000U) << "of 11 each";
  EXPECT_EQ(outcome.delay_ns.max(), 100'000U);
  EXPECT_EQ(Run(Arrivals{Instant{}}, "95/64").delay_ns.max(), 195'000U);
}

TEST_F(ReplayTest, ARingThatIsFullDoesNotWait) {
  surroundings_.queue_size = 4;
  EXPECT_EQ(Run("steady:100000", 1000, "1000000/1000").notifications, 250U);
}

TEST_F(ReplayTest, WhatComesAtOnceIsCompletedAtOnce) {
  EXPECT_EQ(Run("bursts:1000,10", 1000, "off").notifications, 100U);
  EXPECT_EQ(Run("bursts:1000,10", 1000, "100/64").notifications, 100U);
}

TEST_F(ReplayTest, ADriverThatPollsWantsNothingMeanwhile) {
  surroundings_.poll_per_packet = microseconds(15);
  const Arrivals arrivals = {Instant{}, At(microseconds(10)),
                             At(microseconds(20)), At(microseconds(100))};
  const Outcome& outcome = Run(arrivals, "off");
  EXPECT_EQ(outcome.notifications, 2U) << "of the first and the last";
  EXPECT_EQ(outcome.suppressed, 2U);
  EXPECT_EQ(outcome.delay_ns.max(), 10'000U) << "the third is seen at 30 us";
}

TEST_F(ReplayTest, ADriverThatPollsTakesWhatComesMeanwhile) {
  // Of two packets each 100 us, the second comes while the driver still polls
  // because of the first, and is due only afterwards.
  surroundings_.poll_per_packet = microseconds(5);
  Arrivals arrivals;
  for (int i = 0; i < 1000; ++i) {
    arrivals.push_back(At(microseconds(100 * i)));
    arrivals.push_back(At(microseconds(100 * i + 22)));
  }
  const Outcome& outcome = Run(arrivals, "20/64");
  EXPECT_EQ(outcome.notifications, 1000U);
  EXPECT_EQ(outcome.suppressed, 1000U);
  EXPECT_EQ(outcome.delay_ns.max(), 20'000U);
  EXPECT_DOUBLE_EQ(outcome.mean_delay_usecs(), (20 + 3) / 2.0);
}

TEST_F(ReplayTest, ADriverThatHasPolledAllIsNotifiedAgain) {
  surroundings_.poll_per_packet = microseconds(5);
  // The last look is at 5 us, and finds what comes just then.
  EXPECT_EQ(Run({Instant{}, At(microseconds(5))}, "off").notifications, 1U);
  EXPECT_EQ(Run({Instant{}, At(nanoseconds(5001))}, "off").notifications, 2U);
  // One was polled and one was not: the notification is for the second.
  const Arrivals arrivals = {Instant{}, At(microseconds(3)),
                             At(microseconds(12))};
  EXPECT_EQ(Run(arrivals, "50/1").notifications, 2U);
  EXPECT_EQ(outcome_->delay_ns.max(), 2000U);
}

TEST_F(ReplayTest, ABusyDriverIsNotifiedOnce) {
  surroundings_.poll_per_packet = microseconds(15);
  const Outcome& outcome = Run("steady:100000", 1000, "off");
  EXPECT_EQ(outcome.notifications, 1U);
  EXPECT_EQ(outcome.elapsed, microseconds(15 * 999));
}

TEST_F(ReplayTest, TheLastPacketsAreNotForgotten) {
  const Outcome& outcome = Run(Arrivals{Instant{}}, "500/64");
  EXPECT_EQ(outcome.notifications, 1U);
  EXPECT_EQ(outcome.elapsed, microseconds(500));
  EXPECT_EQ(outcome.delay_ns.max(), 500'000U);
}

TEST_F(ReplayTest, GoalsAreMet) {
  const Outcome& rate = Run("poisson:20000", 200'000, "rate:1000");
  EXPECT_LE(rate.per_second(), 1001) << "the first, too";
  EXPECT_GE(rate.per_second(), 900);
  const Outcome& latency = Run("steady:1000000", 200'000, "latency:50");
  EXPECT_EQ(latency.delay_ns.max(), 50'000U);
  EXPECT_EQ(Run("steady:100", 1000, "latency:50").delay_ns.max(), 0U);
}

TEST(SettingTest, EveryFormIsReadAndWritten) {
  for (const char* text : {"off", "100/64", "0/5", "4294967295/4294967295",
                           "latency:50", "rate:1000000"}) {
    EXPECT_EQ(FormatSetting(ParseSetting(text).value()), text);
  }
  EXPECT_EQ(FormatSetting(ParseSetting("0/0").value()), "off");
}

TEST(SettingTest, WhatIsWrongIsNamed) {
  for (const char* text :
       {"", "on", "/", "5", "5/", "/5", "5/x", "-1/5", "4294967296/1",
        "latency:0", "latency:", "rate:1000001", "rate:x", "often:5"}) {
    const absl::Status status = ParseSetting(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_NE(status.message().find("'" + std::string(text) + "'"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace simulate
