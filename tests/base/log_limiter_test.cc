// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "base/log.h"

namespace base {
namespace {

using Clock = LogLimiter::Clock;

const Clock::time_point kStart = Clock::now();

int Allowed(LogLimiter& limiter, int lines, Clock::time_point now) {
  int allowed = 0;
  for (int i = 0; i < lines; ++i) allowed += limiter.Allow(now) ? 1 : 0;
  return allowed;
}

TEST(LogLimiterTest, ABurstPassesAndThenALineInEachInterval) {
  LogLimiter limiter(10);
  EXPECT_EQ(Allowed(limiter, 1000, kStart), 10);
  EXPECT_EQ(Allowed(limiter, 1000, kStart + LogLimiter::kInterval), 1);
  EXPECT_EQ(Allowed(limiter, 1000, kStart + 4 * LogLimiter::kInterval), 3);
}

TEST(LogLimiterTest, AQuietTimeAllowsOneBurstAndNoMore) {
  LogLimiter limiter(10);
  EXPECT_EQ(Allowed(limiter, 1000, kStart), 10);
  EXPECT_EQ(Allowed(limiter, 1000, kStart + 1000 * LogLimiter::kInterval), 10);
}

TEST(LogLimiterTest, PartsOfIntervalsAddUp) {
  LogLimiter limiter(1);
  EXPECT_EQ(Allowed(limiter, 1, kStart), 1);
  int allowed = 0;
  for (int i = 1; i <= 100; ++i) {
    allowed += Allowed(limiter, 1, kStart + i * LogLimiter::kInterval / 10);
  }
  EXPECT_GE(allowed, 9);
  EXPECT_LE(allowed, 10);
}

TEST(LogLimiterTest, WhatWasSuppressedIsSaidOnce) {
  LogLimiter limiter(1);
  EXPECT_EQ(Allowed(limiter, 1, kStart), 1);
  EXPECT_EQ(limiter.Suffix(), "");
  EXPECT_EQ(Allowed(limiter, 5, kStart), 0);
  EXPECT_EQ(Allowed(limiter, 1, kStart + LogLimiter::kInterval), 1);
  EXPECT_EQ(limiter.Suffix(), " (5 similar lines suppressed)");
  EXPECT_EQ(limiter.Suffix(), "");
}

}  // namespace
}  // namespace base
