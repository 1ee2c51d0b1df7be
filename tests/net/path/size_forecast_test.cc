// SPDX-License-Identifier: Apache-2.0
#include "net/path/size_forecast.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace net {
namespace {

constexpr SizeForecast::Sizes kSizes = {
    .small = 2000, .usual = 9000, .largest = 65000};

TEST(SizeForecastTest, BeginsWithThePacketsOfAnOrdinaryMtu) {
  EXPECT_EQ(SizeForecast(kSizes).expected(), 2000U);
  EXPECT_EQ(
      SizeForecast({.small = 2000, .usual = 1500, .largest = 65000}).expected(),
      1500U);
}

TEST(SizeForecastTest, ALargePacketIsFollowedByOthers) {
  SizeForecast forecast(kSizes);
  forecast.Note(2001);
  EXPECT_EQ(forecast.expected(), 9000U);
  EXPECT_FALSE(forecast.expects_small());
  forecast.Note(9001);
  EXPECT_EQ(forecast.expected(), 65000U);
  forecast.Note(9000);
  EXPECT_EQ(forecast.expected(), 9000U);
}

TEST(SizeForecastTest, SmallPacketsInARowEndThat) {
  SizeForecast forecast(kSizes);
  forecast.Note(50000);
  for (uint32_t i = 1; i < SizeForecast::kSmallInARow; ++i) {
    forecast.Note(100 + i);
    EXPECT_EQ(forecast.expected(), 65000U);
  }
  forecast.Note(60);
  EXPECT_EQ(forecast.expected(), 100 + SizeForecast::kSmallInARow - 1);
}

TEST(SizeForecastTest, ALargePacketAmongSmallOnesBeginsTheCountAnew) {
  SizeForecast forecast(kSizes);
  forecast.Note(50000);
  for (uint32_t i = 1; i < SizeForecast::kSmallInARow; ++i) forecast.Note(100);
  forecast.Note(5000);
  for (uint32_t i = 1; i < SizeForecast::kSmallInARow; ++i) {
    forecast.Note(100);
    EXPECT_EQ(forecast.expected(), 9000U);
  }
}

// A batch of packets of several sizes needs room for the largest.
TEST(SizeForecastTest, AmongSmallPacketsTheLargestCounts) {
  SizeForecast forecast(kSizes);
  for (uint32_t i = 0; i < SizeForecast::kSmallInARow; ++i) forecast.Note(60);
  EXPECT_EQ(forecast.expected(), 60U);
  forecast.Note(1500);
  EXPECT_EQ(forecast.expected(), 1500U);
  forecast.Note(60);
  EXPECT_EQ(forecast.expected(), 1500U);
}

}  // namespace
}  // namespace net
