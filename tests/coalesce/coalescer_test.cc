// SPDX-License-Identifier: Apache-2.0
#include "coalesce/coalescer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "tests/support/instant.h"

namespace coalesce {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr uint32_t kRing = 256;
constexpr uint32_t kNever = UINT32_MAX;
// Any time but 0 will do.
constexpr Instant kStart = tests::At(seconds(1000));

// A coalescer that has just got its parameters.
Coalescer With(uint32_t max_packets, uint32_t max_usecs,
               uint32_t max_pending = kRing) {
  Coalescer coalescer(max_pending);
  EXPECT_FALSE(coalescer.Set(
      Params{.max_packets = max_packets, .max_usecs = max_usecs}, kStart));
  return coalescer;
}

TEST(CoalescerTest, WithoutParametersEveryPacketNotifies) {
  Coalescer coalescer(kRing);
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(coalescer.OnCompleted(1, kStart));
    EXPECT_EQ(coalescer.pending(), 0U);
    EXPECT_FALSE(coalescer.deadline());
  }
}

TEST(CoalescerTest, AZeroOfEitherParameterNotifiesAfterEveryPacket) {
  for (const Params params : {Params{0, 0}, Params{0, 100}, Params{32, 0}}) {
    Coalescer coalescer = With(params.max_packets, params.max_usecs);
    EXPECT_TRUE(coalescer.OnCompleted(1, kStart));
    EXPECT_TRUE(coalescer.OnCompleted(3, kStart));
    EXPECT_FALSE(coalescer.deadline());
  }
}

TEST(CoalescerTest, ThePacketThatReachesTheLimitNotifies) {
  Coalescer coalescer = With(4, 1000);
  for (int round = 0; round < 3; ++round) {
    EXPECT_FALSE(coalescer.OnCompleted(1, kStart));
    EXPECT_FALSE(coalescer.OnCompleted(2, kStart));
    EXPECT_EQ(coalescer.pending(), 3U);
    EXPECT_TRUE(coalescer.OnCompleted(1, kStart));
    EXPECT_EQ(coalescer.pending(), 0U);
  }
}

TEST(CoalescerTest, ABatchBeyondTheLimitNotifiesOnce) {
  Coalescer coalescer = With(4, 1000);
  EXPECT_TRUE(coalescer.OnCompleted(9, kStart));
  EXPECT_FALSE(coalescer.OnTimer(kStart + seconds(1)));
}

TEST(CoalescerTest, TheDeadlineCountsFromTheFirstPacketAndStaysThere) {
  Coalescer coalescer = With(kRing, 100);
  const Instant first = kStart + microseconds(7);
  const Instant due = first + microseconds(100);
  EXPECT_FALSE(coalescer.OnCompleted(1, first));
  for (int i = 1; i < 100; ++i) {
    EXPECT_FALSE(coalescer.OnCompleted(1, first + microseconds(i)));
    EXPECT_EQ(coalescer.deadline(), due);
  }
  EXPECT_FALSE(coalescer.OnTimer(due - nanoseconds(1)));
  EXPECT_EQ(coalescer.deadline(), due);
  EXPECT_TRUE(coalescer.OnTimer(due));
}

TEST(CoalescerTest, APacketAfterTheDeadlineNotifiesWithoutATimer) {
  Coalescer coalescer = With(kRing, 100);
  EXPECT_FALSE(coalescer.OnCompleted(1, kStart));
  EXPECT_TRUE(coalescer.OnCompleted(1, kStart + microseconds(100)));
  EXPECT_EQ(coalescer.pending(), 0U);
}

TEST(CoalescerTest, ANewBatchHasItsOwnDeadline) {
  Coalescer coalescer = With(2, 100);
  EXPECT_FALSE(coalescer.OnCompleted(1, kStart));
  EXPECT_TRUE(coalescer.OnCompleted(1, kStart));
  EXPECT_FALSE(coalescer.deadline());
  const Instant later = kStart + microseconds(99);
  EXPECT_FALSE(coalescer.OnCompleted(1, later));
  EXPECT_EQ(coalescer.deadline(), later + microseconds(100));
  EXPECT_FALSE(coalescer.OnTimer(kStart + microseconds(100)));
}

TEST(CoalescerTest, EachPacketsWaitIsKnown) {
  Coalescer coalescer = With(kNever, 100);
  for (int round = 0; round < 2; ++round) {
    const Instant start = kStart + round * seconds(1);
    EXPECT_FALSE(coalescer.OnCompleted(2, start));
    EXPECT_FALSE(coalescer.OnCompleted(1, start + microseconds(30)));
    EXPECT_FALSE(coalescer.OnCompleted(3, start + microseconds(40)));
    EXPECT_TRUE(coalescer.OnTimer(start + microseconds(110)));
    EXPECT_EQ(coalescer.flushed().waited(start + microseconds(110)),
              microseconds(2 * 110 + 80 + 3 * 70));
  }
}

TEST(CoalescerTest, ATimerWithNothingPendingDoesNothing) {
  Coalescer coalescer = With(32, 100);
  EXPECT_FALSE(coalescer.OnTimer(kStart + seconds(5)));
  EXPECT_FALSE(coalescer.deadline());
}

TEST(CoalescerTest, CompletingNothingStartsNoTimer) {
  Coalescer coalescer = With(32, 100);
  EXPECT_FALSE(coalescer.OnCompleted(0, kStart));
  EXPECT_FALSE(coalescer.deadline());
  Coalescer off(kRing);
  EXPECT_FALSE(off.OnCompleted(0, kStart));
}

TEST(CoalescerTest, ALimitBelowWhatIsPendingNotifiesAtOnce) {
  Coalescer coalescer = With(15, 1000);
  EXPECT_FALSE(coalescer.OnCompleted(10, kStart));
  EXPECT_TRUE(coalescer.Set(Params{8, 1000}, kStart));
  EXPECT_EQ(coalescer.pending(), 0U);
  EXPECT_FALSE(coalescer.deadline());
}

TEST(CoalescerTest, AShorterDelayRulesOverWhatIsPending) {
  Coalescer coalescer = With(kRing, 1000);
  EXPECT_FALSE(coalescer.OnCompleted(1, kStart));
  EXPECT_FALSE(coalescer.Set(Params{kRing, 200}, kStart + microseconds(100)));
  EXPECT_EQ(coalescer.deadline(), kStart + microseconds(200));
  EXPECT_TRUE(coalescer.Set(Params{kRing, 50}, kStart + microseconds(100)));
}

TEST(CoalescerTest, ALongerDelayCountsFromTheFirstPacketToo) {
  Coalescer coalescer = With(kRing, 100);
  EXPECT_FALSE(coalescer.OnCompleted(1, kStart));
  EXPECT_FALSE(coalescer.Set(Params{kRing, 300}, kStart + microseconds(90)));
  EXPECT_EQ(coalescer.deadline(), kStart + microseconds(300));
}

TEST(CoalescerTest, TurningCoalescingOffNotifiesOfWhatIsPending) {
  Coalescer coalescer = With(kRing, 1000);
  EXPECT_FALSE(coalescer.OnCompleted(1, kStart));
  EXPECT_TRUE(coalescer.Set(Params{0, 0}, kStart));
  EXPECT_FALSE(coalescer.Set(Params{0, 0}, kStart));
}

TEST(CoalescerTest, DrainingSaysWhetherAnythingWasPending) {
  Coalescer coalescer = With(kRing, 1000);
  EXPECT_FALSE(coalescer.Drain());
  EXPECT_FALSE(coalescer.OnCompleted(3, kStart));
  EXPECT_TRUE(coalescer.Drain());
  EXPECT_FALSE(coalescer.deadline());
  EXPECT_FALSE(coalescer.Drain());
}

TEST(CoalescerTest, CancellingForgetsWhatIsPendingAndItsTimer) {
  Coalescer coalescer = With(kRing, 100);
  EXPECT_FALSE(coalescer.OnCompleted(3, kStart));
  coalescer.Cancel();
  EXPECT_FALSE(coalescer.deadline());
  EXPECT_FALSE(coalescer.OnTimer(kStart + seconds(2)));
  EXPECT_EQ(coalescer.setting().params, (Params{kRing, 100}));
}

TEST(CoalescerTest, MorePacketsThanTheRingHoldsAreNotWaitedFor) {
  Coalescer coalescer = With(kRing, 1000, 8);
  EXPECT_FALSE(coalescer.OnCompleted(7, kStart));
  EXPECT_TRUE(coalescer.OnCompleted(1, kStart));
  EXPECT_EQ(coalescer.setting().params.max_packets, kRing);
}

TEST(CoalescerTest, Row105_TheLargestValuesAreKeptAsSentAndBoundedInEffect) {
  Coalescer coalescer = With(kNever, kNever);
  EXPECT_EQ(coalescer.setting().params, (Params{kNever, kNever}));
  EXPECT_FALSE(coalescer.OnCompleted(1, kStart));
  EXPECT_EQ(coalescer.deadline(), kStart + seconds(1));
  EXPECT_FALSE(coalescer.OnTimer(kStart + seconds(1) - nanoseconds(1)));
  EXPECT_TRUE(coalescer.OnTimer(kStart + seconds(1)));
  EXPECT_FALSE(coalescer.OnCompleted(kRing - 1, kStart));
  EXPECT_TRUE(coalescer.OnCompleted(1, kStart));
}

TEST(CoalescerTest, Row105_AnAbsurdNumberOfPacketsDoesNotWrapTheCount) {
  Coalescer coalescer = With(kNever, kNever, kNever);
  EXPECT_FALSE(coalescer.OnCompleted(kNever - 1, kStart));
  EXPECT_TRUE(coalescer.OnCompleted(kNever - 1, kStart));
}

TEST(CoalescerTest, Row106_AHundredThousandChangesMoveNoDeadline) {
  Coalescer coalescer = With(kRing, 1000);
  EXPECT_FALSE(coalescer.OnCompleted(1, kStart));
  for (uint32_t i = 0; i < 100'000; ++i) {
    const uint32_t usecs = 500 + i % 500;
    const Instant now = kStart + nanoseconds(i);
    ASSERT_FALSE(coalescer.Set(Params{2 + i % 100, usecs}, now));
    ASSERT_EQ(coalescer.deadline(), kStart + microseconds(usecs));
    ASSERT_EQ(coalescer.pending(), 1U);
  }
  EXPECT_TRUE(coalescer.Set(Params{1, 1000}, kStart + microseconds(100)));
  EXPECT_FALSE(coalescer.deadline());
}

TEST(CoalescerTest, Row133_AClockThatStoodStillOnlyDelays) {
  Coalescer coalescer = With(kRing, 100);
  EXPECT_FALSE(coalescer.OnCompleted(1, kStart));
  EXPECT_TRUE(coalescer.OnTimer(kStart + seconds(60)));
  EXPECT_FALSE(coalescer.OnTimer(kStart + seconds(60)));
}

// The same rules implemented the slow way: a list of since when each packet
// waits.
struct Oracle {
  Params params;
  uint32_t ring;
  std::vector<Instant> waiting{};

  bool Settle(Instant now) {
    if (waiting.empty()) return false;
    const Duration waited = now - waiting.front();
    const bool due = params.max_packets == 0 || params.max_usecs == 0 ||
                     waiting.size() >= params.max_packets ||
                     waiting.size() >= ring || waited >= seconds(1) ||
                     waited >= microseconds(params.max_usecs);
    if (due) waiting.clear();
    return due;
  }
};

class CoalescerModelTest : public testing::TestWithParam<uint32_t> {};

TEST_P(CoalescerModelTest, RandomSchedulesNotifyWhenTheListSaysSo) {
  std::mt19937 random(GetParam());
  const auto below = [&](uint32_t n) {
    return static_cast<uint32_t>(random() % n);
  };
  const uint32_t ring = 1U << below(6);
  Coalescer coalescer(ring);
  Oracle oracle{.params = {}, .ring = ring};
  Instant now = kStart;
  for (int step = 0; step < 20'000; ++step) {
    now += nanoseconds(below(10) == 0 ? below(2'000'000'000) : below(50'000));
    switch (below(8)) {
      case 0: {
        const Params params{below(20) == 0 ? kNever : below(40),
                            below(20) == 0 ? kNever : below(300)};
        oracle.params = params;
        ASSERT_EQ(coalescer.Set(params, now), oracle.Settle(now));
        break;
      }
      case 1: {
        const bool any = !oracle.waiting.empty();
        oracle.waiting.clear();
        ASSERT_EQ(coalescer.Drain(), any);
        break;
      }
      case 2:
      case 3:
        ASSERT_EQ(coalescer.OnTimer(now), oracle.Settle(now));
        break;
      default: {
        const uint32_t packets = below(4);
        oracle.waiting.insert(oracle.waiting.end(), packets, now);
        const bool due = packets > 0 && oracle.Settle(now);
        ASSERT_EQ(coalescer.OnCompleted(packets, now), due);
      }
    }
    ASSERT_EQ(coalescer.pending(), oracle.waiting.size());
    ASSERT_EQ(coalescer.deadline().has_value(), !oracle.waiting.empty());
    if (coalescer.deadline()) {
      ASSERT_LE(*coalescer.deadline(), oracle.waiting.front() + seconds(1));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, CoalescerModelTest, testing::Range(1U, 21U));

}  // namespace
}  // namespace coalesce
