// SPDX-License-Identifier: Apache-2.0
#include "tune/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

namespace tune {
namespace {

using testing::HasSubstr;

constexpr uint64_t kPackets = 10'000;

// Windows of a second, with so many notifications each of 10000 packets, each
// of which waited `wait_usecs`.
Measured With(uint32_t usecs, std::initializer_list<uint64_t> notifications,
              uint64_t wait_usecs, uint64_t packets = kPackets) {
  Measured measured;
  if (usecs > 0) measured.params = {.max_packets = 64, .max_usecs = usecs};
  for (const uint64_t count : notifications) {
    measured.windows.push_back({.seconds = 1,
                                .packets = packets,
                                .notifications = count,
                                .waited_ns = wait_usecs * packets * 1000});
  }
  return measured;
}

// The choice's max_usecs; 0 if there is none.
uint32_t Chosen(const Verdict& verdict) {
  EXPECT_NE(verdict.choice.has_value(), !verdict.reason.empty());
  return verdict.choice ? verdict.results[*verdict.choice].params.max_usecs : 0;
}

const Measured kOff = With(0, {9000, 9100, 8900}, 0);

TEST(VerdictTest, FiguresAreMediansAndTheirSpread) {
  Measured measured = With(8, {100, 400, 200, 900}, 30);
  measured.windows[3].seconds = 4;
  const Result result = Compare({kOff, measured}, 50).results[1];
  EXPECT_EQ(result.params.max_usecs, 8U);
  EXPECT_DOUBLE_EQ(result.notifications_per_packet.median, 0.03);
  EXPECT_DOUBLE_EQ(result.notifications_per_packet.least, 0.01);
  EXPECT_DOUBLE_EQ(result.notifications_per_packet.most, 0.09);
  EXPECT_DOUBLE_EQ(result.packets_per_second.least, 2500);
  EXPECT_DOUBLE_EQ(result.packets_per_second.median, 10'000);
  EXPECT_DOUBLE_EQ(result.wait_usecs.median, 30);
}

TEST(VerdictTest, TheMostIsSavedThatTheWaitAllows) {
  const std::vector<Measured> measured = {kOff, With(20, {5000, 5100}, 10),
                                          With(80, {2000, 2100}, 40),
                                          With(200, {900, 1000}, 100)};
  EXPECT_EQ(Chosen(Compare(measured, 50)), 80U);
  EXPECT_EQ(Chosen(Compare(measured, 40)), 80U);
  EXPECT_EQ(Chosen(Compare(measured, 39)), 20U);
  EXPECT_EQ(Chosen(Compare(measured, 100)), 200U);
  const Verdict none = Compare(measured, 9);
  EXPECT_EQ(Chosen(none), 0U);
  EXPECT_THAT(none.reason, HasSubstr("more than 9 us"));
}

TEST(VerdictTest, WhatNoiseHidesIsNotRecommended) {
  const Verdict verdict = Compare(
      {With(0, {9000, 5000, 7000}, 0), With(80, {4000, 3500, 3600}, 40)}, 50);
  EXPECT_EQ(Chosen(verdict), 0U) << "3400 saved, and they vary by 4000";
  EXPECT_THAT(verdict.reason, HasSubstr("0.340"));
  EXPECT_THAT(verdict.reason, HasSubstr("0.400"));
  EXPECT_EQ(Chosen(Compare({With(0, {8900, 5000, 7000}, 0),
                            With(80, {3000, 3100, 3000}, 40)},
                           50)),
            80U)
      << "4000 saved, and they vary by 3900";
  EXPECT_EQ(Chosen(Compare({kOff, With(80, {9000, 3000, 5100}, 40)}, 50)), 0U)
      << "the setting's own figures vary";
}

TEST(VerdictTest, WhatSavesNothingIsNotRecommended) {
  EXPECT_EQ(Chosen(Compare({kOff, With(8, {9000, 9000, 9000}, 0)}, 50)), 0U);
  EXPECT_EQ(Chosen(Compare({kOff, With(8, {9900, 9900, 9900}, 0)}, 50)), 0U);
  EXPECT_EQ(Chosen(Compare({kOff}, 50)), 0U);
}

TEST(VerdictTest, OfThoseThatCannotBeToldApartTheShortestWaitIsTaken) {
  EXPECT_EQ(Chosen(Compare({kOff, With(200, {2000, 2300, 2100}, 45),
                            With(40, {2200, 2150, 2250}, 30)},
                           50)),
            40U);
  EXPECT_EQ(Chosen(Compare({kOff, With(200, {2000, 2010, 2005}, 45),
                            With(40, {2200, 2150, 2250}, 30)},
                           50)),
            200U);
}

TEST(VerdictTest, WhatSlowsTheTrafficDownIsNotRecommended) {
  const Verdict verdict =
      Compare({kOff, With(80, {2000, 2100, 2000}, 40, kPackets / 2)}, 50);
  EXPECT_TRUE(verdict.results[1].slows);
  EXPECT_FALSE(verdict.results[1].on_front);
  EXPECT_EQ(Chosen(verdict), 0U);
  EXPECT_THAT(verdict.reason, HasSubstr("slow"));
}

TEST(VerdictTest, ASlowWindowIsNoSlowTraffic) {
  Measured measured = With(80, {2000, 2000, 2000}, 40, kPackets / 2);
  measured.windows[1] = With(80, {4000}, 40).windows[0];
  const Verdict verdict = Compare({kOff, measured}, 50);
  EXPECT_FALSE(verdict.results[1].slows);
  EXPECT_EQ(Chosen(verdict), 80U);
}

TEST(VerdictTest, TooFewPacketsSayNothing) {
  Measured measured = With(80, {2000, 2100, 2000}, 40);
  measured.windows[1].packets = kLeastPackets - 1;
  const Verdict verdict = Compare({kOff, measured}, 50);
  EXPECT_EQ(Chosen(verdict), 0U);
  EXPECT_THAT(verdict.reason, HasSubstr("99 packets"));
  measured.windows[1].packets = 0;
  EXPECT_THAT(Compare({kOff, measured}, 50).reason, HasSubstr(" 0 packets"));
}

TEST(VerdictTest, TheFrontIsWhatNoOtherBeatsInBoth) {
  const std::vector<Result> results =
      Compare(
          {kOff, With(20, {5000}, 10), With(30, {5100}, 11),
           With(40, {5000}, 12), With(80, {2000}, 40), With(90, {2000}, 40)},
          50)
          .results;
  std::vector<uint32_t> front;
  for (const Result& result : results) {
    if (result.on_front) front.push_back(result.params.max_usecs);
  }
  EXPECT_EQ(front, (std::vector<uint32_t>{0, 20, 80, 90}));
}

}  // namespace
}  // namespace tune
