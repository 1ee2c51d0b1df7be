// SPDX-License-Identifier: Apache-2.0
#include "simulate/arrivals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>

#include "tests/support/instant.h"

namespace simulate {
namespace {

using std::chrono::microseconds;
using tests::At;

TEST(ArrivalsTest, SteadyPacketsAreAsFarApartAsTheRateSays) {
  const Arrivals arrivals = Generate("steady:1000", 5, 1).value();
  ASSERT_EQ(arrivals.size(), 5U);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(arrivals[static_cast<size_t>(i)], At(microseconds(1000 * i)));
  }
}

TEST(ArrivalsTest, ABurstComesAtOnceAndTheRateHoldsOnAverage) {
  const Arrivals arrivals = Generate("bursts:1000,10", 1000, 1).value();
  for (size_t i = 0; i < arrivals.size(); ++i) {
    EXPECT_EQ(arrivals[i], At(microseconds(10'000 * (i / 10))));
  }
}

TEST(ArrivalsTest, PoissonsPacketsHaveItsMeanAndItsSpread) {
  const Arrivals arrivals = Generate("poisson:10000", 100'000, 7).value();
  double sum = 0;
  double squares = 0;
  for (size_t i = 1; i < arrivals.size(); ++i) {
    const double gap =
        static_cast<double>((arrivals[i] - arrivals[i - 1]).count()) / 1e5;
    sum += gap;
    squares += gap * gap;
  }
  const double mean = sum / 99'999;
  EXPECT_NEAR(mean, 1, 0.02);
  EXPECT_NEAR(std::sqrt(squares / 99'999 - mean * mean), 1, 0.03);
  EXPECT_EQ(arrivals, Generate("poisson:10000", 100'000, 7).value());
  EXPECT_NE(arrivals, Generate("poisson:10000", 100'000, 8).value());
}

TEST(ArrivalsTest, WhatIsWrongWithARuleIsSaid) {
  for (const char* rule : {"", "steady", "steady:", "steady:0", "steady:-1",
                           "steady:x", "steady:1x", "steady:nan", "steady:inf",
                           "steady:2e9", "often:5", "bursts:5", "bursts:5,",
                           "bursts:5,0", "bursts:5,1000000", "bursts:,5"}) {
    const absl::Status status = Generate(rule, 1, 1).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << rule;
    EXPECT_NE(status.message().find("'" + std::string(rule) + "'"),
              std::string::npos)
        << status.message();
  }
  EXPECT_FALSE(Generate("steady:1e-7", 1, 1).ok());
  EXPECT_FALSE(Generate("bursts:1e-300,2", 2, 1).ok());
  EXPECT_FALSE(Generate("poisson:nan", 1, 1).ok());
  EXPECT_FALSE(Generate("steady:1", 0, 1).ok());
  EXPECT_FALSE(Generate("steady:1", kMaxPackets + 1, 1).ok());
}

TEST(ArrivalsTest, TheSlowestRateStaysWithinTheClock) {
  const Arrivals arrivals = Generate("steady:1e-6", 10'000, 1).value();
  for (size_t i = 1; i < arrivals.size(); ++i) {
    EXPECT_GE(arrivals[i], arrivals[i - 1]);
  }
}

}  // namespace
}  // namespace simulate
