// SPDX-License-Identifier: Apache-2.0
#include "net/path/busy_poll.h"

#include <gtest/gtest.h>

#include "tests/support/instant.h"

namespace net {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;
using tests::At;

constexpr Duration kLimit = microseconds(80);

TEST(BusyPollTest, IsOffByDefault) {
  BusyPoll poll{Duration::zero()};
  poll.OnWork(At(seconds(1)));
  poll.OnWake(microseconds(1));
  poll.OnWake(Duration::zero());
  EXPECT_FALSE(poll.Wanted(At(seconds(1))));
}

TEST(BusyPollTest, GrowsWhileSleepsAreShort) {
  BusyPoll poll(kLimit);
  EXPECT_EQ(poll.budget(), Duration::zero());
  for (const int expected : {10, 20, 40, 80, 80}) {
    poll.OnWake(microseconds(79));
    EXPECT_EQ(poll.budget(), microseconds(expected));
  }
}

TEST(BusyPollTest, ASleepThatPollingWouldNotHaveSparedEndsIt) {
  BusyPoll poll(kLimit);
  for (int i = 0; i < 4; ++i) poll.OnWake(microseconds(1));
  poll.OnWake(kLimit);
  EXPECT_EQ(poll.budget(), Duration::zero());
}

TEST(BusyPollTest, LastsForTheBudgetAfterTheLastWork) {
  BusyPoll poll(kLimit);
  poll.OnWake(microseconds(1));
  poll.OnWork(At(seconds(5)));
  EXPECT_TRUE(poll.Wanted(At(seconds(5)) + microseconds(9)));
  EXPECT_FALSE(poll.Wanted(At(seconds(5)) + microseconds(10)));
  poll.OnWork(At(seconds(5)) + microseconds(9));
  EXPECT_TRUE(poll.Wanted(At(seconds(5)) + microseconds(18)));
}

}  // namespace
}  // namespace net
