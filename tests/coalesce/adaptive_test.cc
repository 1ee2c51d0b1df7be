// SPDX-License-Identifier: Apache-2.0
#include "coalesce/adaptive.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "coalesce/coalescer.h"
#include "tests/support/instant.h"

namespace coalesce {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr Instant kStart = tests::At(seconds(1000));
constexpr Goal kLatency100 = {.kind = Goal::Kind::kTargetLatency, .value = 100};
constexpr Goal kRate10k = {.kind = Goal::Kind::kMaxRate, .value = 10'000};

// A coalescer on a simulated clock, with a timer that is late by a fixed time.
class Replay {
 public:
  explicit Replay(Goal goal, Duration lateness = Duration::zero())
      : lateness_(lateness) {
    EXPECT_FALSE(coalescer_.Set({Params(), goal}, kStart));
  }

  // Advances the clock to `at` and does what is due until then.
  void GoTo(Instant at) {
    while (coalescer_.deadline() && *coalescer_.deadline() + lateness_ <= at) {
      now_ = *coalescer_.deadline() + lateness_;
      if (coalescer_.OnTimer(now_)) Notify();
    }
    now_ = at;
  }
  void Packet(uint32_t count = 1) {
    if (coalescer_.OnCompleted(count, now_)) Notify();
  }
  // `count` packets, `gap` apart.
  void Steady(uint32_t count, Duration gap) {
    for (uint32_t i = 0; i < count; ++i) {
      GoTo(now_ + gap);
      Packet();
    }
  }
  // Each packet comes `gap` after the notification of the packet before it.
  void PingPong(uint32_t count, Duration gap) {
    for (uint32_t i = 0; i < count; ++i) {
      GoTo(now_ + gap);
      Packet();
      if (coalescer_.deadline()) GoTo(*coalescer_.deadline() + lateness_);
    }
  }
  void Forget() { delays_.clear(); }
  // The driver polls, and so wants no notification; or it wants them again.
  void StopNotifying() { unwanted_ = true; }
  void StartNotifying() { unwanted_ = false; }

  Instant now() const { return now_; }
  const std::vector<Duration>& delays() const { return delays_; }
  const Adaptive& adaptive() const { return *coalescer_.adaptive(); }
  Coalescer& coalescer() { return coalescer_; }

  Duration MeanDelay() const {
    Duration sum{};
    for (const Duration delay : delays_) sum += delay;
    return delays_.empty() ? sum : sum / static_cast<int64_t>(delays_.size());
  }

 private:
  void Notify() {
    if (unwanted_) return;
    coalescer_.OnNotified(now_);
    delays_.push_back(now_ - coalescer_.flushed().first);
  }

  Coalescer coalescer_{256};
  Duration lateness_;
  Instant now_ = kStart;
  bool unwanted_ = false;
  std::vector<Duration> delays_;  // of each notification, from its first packet
};

TEST(AdaptiveTest, ALonePacketIsLetThrough) {
  for (const Goal goal : {kLatency100, kRate10k}) {
    Replay replay(goal);
    replay.Steady(100, milliseconds(10));
    ASSERT_EQ(replay.delays().size(), 100U);
    for (const Duration delay : replay.delays()) {
      EXPECT_EQ(delay, Duration::zero());
    }
    EXPECT_EQ(replay.adaptive().decisions().alone, 100U);
  }
}

TEST(AdaptiveTest, TheFirstOfABurstIsLetThroughAndTheOthersWait) {
  Replay replay(kLatency100);
  replay.Steady(11, microseconds(5));
  replay.GoTo(replay.now() + milliseconds(1));
  ASSERT_EQ(replay.delays().size(), 2U);
  EXPECT_EQ(replay.delays()[0], Duration::zero());
  EXPECT_EQ(replay.delays()[1], microseconds(100));
  EXPECT_EQ(replay.adaptive().decisions().gathered, 1U);
}

TEST(AdaptiveTest, UnderLoadTheTargetLatencyIsMet) {
  for (const uint32_t target : {20U, 50U, 100U, 1000U}) {
    Replay replay({.kind = Goal::Kind::kTargetLatency, .value = target});
    replay.Steady(200'000, nanoseconds(4'000));
    replay.Forget();
    replay.Steady(200'000, nanoseconds(4'000));
    // A full ring ends the wait earlier.
    const Duration wanted =
        std::min<Duration>(microseconds(target), 255 * nanoseconds(4'000));
    EXPECT_GE(replay.MeanDelay() * 10, wanted * 9) << target;
    EXPECT_LE(replay.MeanDelay() * 10, wanted * 11) << target;
  }
}

TEST(AdaptiveTest, UnderLoadTheRateIsMet) {
  for (const uint32_t rate : {1000U, 10'000U, 50'000U}) {
    for (const Duration lateness :
         {Duration::zero(), Duration(microseconds(5))}) {
      Replay replay({.kind = Goal::Kind::kMaxRate, .value = rate}, lateness);
      // At 100 kHz the ring does not fill up first.
      replay.Steady(100'000, microseconds(10));
      // In one second.
      EXPECT_LE(replay.delays().size() * 10, rate * 11) << rate;
      EXPECT_GE(replay.delays().size() * 10, rate * 9) << rate;
    }
  }
}

// However late the timer was, no second notification makes up for it.
TEST(AdaptiveTest, ATimerThatIsVeryLateBringsNoBurst) {
  Replay replay(kRate10k);
  replay.Packet();
  replay.GoTo(kStart + microseconds(10));
  replay.Packet();
  // Due at 100 us, but the timer fires only at 1000 us.
  EXPECT_TRUE(replay.coalescer().OnTimer(kStart + milliseconds(1)));
  replay.coalescer().OnNotified(kStart + milliseconds(1));
  EXPECT_FALSE(replay.coalescer().OnCompleted(1, kStart + milliseconds(1)));
  EXPECT_EQ(replay.coalescer().deadline(),
            kStart + milliseconds(1) + microseconds(50));
}

TEST(AdaptiveTest, TheRateHoldsForAnyArrivals) {
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    Replay replay(kRate10k);
    for (int i = 0; i < 20'000; ++i) {
      const auto gap =
          static_cast<uint32_t>(random() % (round % 2 == 0 ? 30 : 300));
      replay.Steady(1, microseconds(gap));
    }
    const auto intervals = (replay.now() - kStart) / kRate10k.interval();
    // Holds unless a full ring ends a wait early.
    EXPECT_LE(static_cast<int64_t>(replay.delays().size()), intervals + 1);
    for (const Duration delay : replay.delays()) {
      EXPECT_LE(delay, kRate10k.interval());
    }
  }
}

TEST(AdaptiveTest, WhoeverWaitsForEachAnswerIsLetThroughBeforeLong) {
  Replay replay(kLatency100);
  replay.PingPong(20, microseconds(30));
  replay.Forget();
  replay.PingPong(1000, microseconds(30));
  for (const Duration delay : replay.delays()) {
    EXPECT_EQ(delay, Duration::zero());
  }
  EXPECT_FALSE(replay.adaptive().waiting());
  EXPECT_EQ(replay.adaptive().decisions().switched, 1U);
}

// A peer this fast looks like load until a trial fails; trials become rare.
TEST(AdaptiveTest, TrialsThatFailBecomeRare) {
  Replay replay(kLatency100);
  replay.PingPong(20'000, microseconds(5));
  EXPECT_LT(replay.adaptive().decisions().futile, 45U);
  EXPECT_GT(replay.adaptive().decisions().futile, 20U) << "and do not end";
  EXPECT_FALSE(replay.adaptive().waiting());
}

TEST(AdaptiveTest, LoadIsNoticedAgainByATrial) {
  Replay replay(kLatency100);
  replay.PingPong(1000, microseconds(5));
  ASSERT_FALSE(replay.adaptive().waiting());
  const Instant start = replay.now();
  while (!replay.adaptive().waiting() && replay.now() < start + seconds(1)) {
    replay.Steady(1, microseconds(2));
  }
  EXPECT_LE(replay.now() - start, milliseconds(5));
}

TEST(AdaptiveTest, AMaximumRateIsKeptToWhateverItGathers) {
  Replay replay(kRate10k);
  replay.PingPong(1000, microseconds(5));
  EXPECT_TRUE(replay.adaptive().waiting());
  EXPECT_GE(replay.now() - kStart, 998 * kRate10k.interval());
}

TEST(AdaptiveTest, WhatTheDriverDidNotWantDoesNotCount) {
  for (const Goal goal : {kLatency100, kRate10k}) {
    Replay replay(goal);
    replay.StopNotifying();
    replay.Steady(100, microseconds(10));
    EXPECT_EQ(replay.delays().size(), 0U);
    replay.StartNotifying();
    replay.Steady(1, microseconds(10));
    ASSERT_EQ(replay.delays().size(), 1U) << "the first that it hears of";
    EXPECT_EQ(replay.delays()[0], Duration::zero());
    EXPECT_EQ(replay.adaptive().decisions().alone, 1U);
  }
}

TEST(AdaptiveTest, BurstsDoNotMakeItOscillate) {
  // In a burst of 110 us, the last packet waits alone.
  for (const Duration burst : {microseconds(50), microseconds(110),
                               microseconds(500), microseconds(5000)}) {
    for (const Duration pause :
         {microseconds(150), microseconds(1000), microseconds(20'000)}) {
      Replay replay(kLatency100);
      for (int i = 0; i < 500; ++i) {
        replay.Steady(static_cast<uint32_t>(burst / microseconds(5)),
                      microseconds(5));
        replay.GoTo(replay.now() + pause);
      }
      EXPECT_EQ(replay.adaptive().decisions().switched, 0U)
          << burst.count() << " " << pause.count();
      EXPECT_TRUE(replay.adaptive().waiting());
    }
  }
}

TEST(AdaptiveTest, AtFullLoadNotificationsAreATwentiethOrLess) {
  Replay replay(kLatency100);
  replay.Steady(400'000, microseconds(2));
  EXPECT_LE(replay.delays().size() * 20, 400'000U);
}

// --- In the coalescer ---

TEST(CoalescerGoalTest, AFullRingDoesNotWait) {
  Coalescer coalescer(8);
  ASSERT_FALSE(coalescer.Set({Params(), kRate10k}, kStart));
  EXPECT_TRUE(coalescer.OnCompleted(1, kStart));
  coalescer.OnNotified(kStart);
  EXPECT_FALSE(coalescer.OnCompleted(7, kStart + microseconds(1)));
  EXPECT_TRUE(coalescer.OnCompleted(1, kStart + microseconds(2)));
  EXPECT_FALSE(coalescer.deadline());
}

TEST(CoalescerGoalTest, TheGoalRulesOverTheParametersAsLongAsItIsThere) {
  const Params fixed{.max_packets = 100, .max_usecs = 1000};
  Coalescer coalescer(256);
  ASSERT_FALSE(coalescer.Set(fixed, kStart));
  EXPECT_FALSE(coalescer.OnCompleted(1, kStart));
  EXPECT_TRUE(coalescer.Set({fixed, kLatency100}, kStart + microseconds(1)))
      << "what waits as the parameters say is notified of";
  coalescer.OnNotified(kStart + microseconds(1));
  EXPECT_EQ(coalescer.effective(),
            (Params{.max_packets = 256, .max_usecs = 100}));
  EXPECT_FALSE(coalescer.OnCompleted(1, kStart + microseconds(2)));
  EXPECT_EQ(coalescer.deadline(), kStart + microseconds(102));
  EXPECT_FALSE(coalescer.Set(fixed, kStart + microseconds(3)));
  EXPECT_EQ(coalescer.deadline(), kStart + microseconds(1002));
  EXPECT_FALSE(coalescer.adaptive());
  EXPECT_EQ(coalescer.effective(), fixed);
}

TEST(CoalescerGoalTest, TheSameGoalAgainChangesNothing) {
  Coalescer coalescer(256);
  ASSERT_FALSE(coalescer.Set({Params(), kLatency100}, kStart));
  EXPECT_TRUE(coalescer.OnCompleted(1, kStart));
  coalescer.OnNotified(kStart);
  EXPECT_FALSE(coalescer.OnCompleted(1, kStart + microseconds(1)));
  EXPECT_FALSE(
      coalescer.Set({Params(), kLatency100}, kStart + microseconds(2)));
  EXPECT_EQ(coalescer.deadline(), kStart + microseconds(101));
  EXPECT_EQ(coalescer.adaptive()->decisions().alone, 1U);
}

TEST(CoalescerGoalTest, WhatIsEffectiveIsBounded) {
  Coalescer coalescer(64);
  EXPECT_EQ(coalescer.effective(), (Params{.max_packets = 1, .max_usecs = 0}));
  (void)coalescer.Set(
      Params{.max_packets = UINT32_MAX, .max_usecs = UINT32_MAX}, kStart);
  EXPECT_EQ(coalescer.effective(),
            (Params{.max_packets = 64, .max_usecs = 1'000'000}));
  (void)coalescer.Set(
      {Params(), Goal{.kind = Goal::Kind::kMaxRate, .value = 3}}, kStart);
  EXPECT_EQ(coalescer.effective(),
            (Params{.max_packets = 64, .max_usecs = 333'334}));
}

}  // namespace
}  // namespace coalesce
