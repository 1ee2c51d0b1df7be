// SPDX-License-Identifier: Apache-2.0
#include "daemon/hang_watch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <optional>

#include "base/eventfd.h"
#include "base/unique_fd.h"

namespace program {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLimit(200);

// One thread with a kick and a port, watched on a clock of the test's.
class HangWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    pulse_.BeginWait(std::nullopt, false);
    watch_.Start({{.name = "worker",
                   .pulse = &pulse_,
                   .fds = {kick_.get()},
                   .port = port_.get(),
                   .use = [this] { return use_; }}},
                 kLimit);
  }

  bool Polled(int fd) const {
    std::vector<pollfd> polls;
    watch_.AddPolls(polls);
    for (const pollfd& poll : polls) {
      if (poll.fd == fd) return true;
    }
    return false;
  }
  void Wake() { watch_.OnReady(now_); }
  // Looks at each interval of `length`. True if the thread hangs.
  bool HangsWithin(coalesce::Duration length) {
    const coalesce::Instant end = now_ + length;
    while (watch_.look_at() && *watch_.look_at() <= end) {
      UseCpu(*watch_.look_at() - now_);
      now_ = *watch_.look_at();
      if (watch_.Look(now_)) return true;
    }
    now_ = end;
    return false;
  }
  void Turn() {
    pulse_.BeginWork();
    pulse_.BeginWait(std::nullopt, false);
  }

  void UseCpu(coalesce::Duration length) {
    if (use_) use_->cpu += length / cpu_share_;
  }

  std::optional<ThreadUse> use_;
  int cpu_share_ = 1;  // one part of so many of the time
  net::Pulse pulse_;
  base::UniqueFd kick_ = base::MakeEventfd();
  base::UniqueFd port_ = base::MakeEventfd();
  HangWatch watch_;
  coalesce::Instant now_{std::chrono::seconds(100)};
};

TEST_F(HangWatchTest, QuietItWaitsForTheKickAndNotForTheClock) {
  EXPECT_TRUE(Polled(kick_.get()));
  EXPECT_FALSE(Polled(port_.get())) << "the thread does not read its port";
  EXPECT_FALSE(watch_.look_at());
}

TEST_F(HangWatchTest, AThreadThatTakesItsKickDoesNotHang) {
  base::SignalEventfd(kick_.get());
  Wake();
  EXPECT_FALSE(Polled(kick_.get())) << "or it would wake up again and again";
  base::ClearEventfd(kick_.get());
  Turn();
  EXPECT_FALSE(HangsWithin(10 * kLimit));
  EXPECT_FALSE(watch_.look_at()) << "quiet again";
  EXPECT_TRUE(Polled(kick_.get()));
}

TEST_F(HangWatchTest, AKickThatNobodyTakesIsAHang) {
  base::SignalEventfd(kick_.get());
  Wake();
  EXPECT_FALSE(HangsWithin(kLimit));
  EXPECT_TRUE(HangsWithin(2 * HangWatch::kInterval));
}

TEST_F(HangWatchTest, WorkThatDoesNotEndIsAHang) {
  pulse_.BeginWork();
  Wake();
  EXPECT_TRUE(HangsWithin(2 * kLimit));
}

TEST_F(HangWatchTest, WorkThatGoesOnIsNone) {
  Wake();
  for (int i = 0; i < 20; ++i) {
    pulse_.BeginWork();
    EXPECT_FALSE(HangsWithin(kLimit / 2));
    pulse_.BeginWait(std::nullopt, false);
    pulse_.BeginWork();
  }
}

TEST_F(HangWatchTest, AThreadThatSleepsThroughItsDeadlineHangs) {
  pulse_.BeginWork();
  pulse_.BeginWait(now_ + milliseconds(70), false);
  Wake();
  EXPECT_FALSE(HangsWithin(milliseconds(70) + kLimit));
  EXPECT_TRUE(HangsWithin(2 * HangWatch::kInterval));
}

TEST_F(HangWatchTest, ItIsNotQuietWhileADeadlineIsNear) {
  pulse_.BeginWork();
  pulse_.BeginWait(now_ + milliseconds(10), false);
  Wake();
  EXPECT_FALSE(HangsWithin(kLimit));
  EXPECT_TRUE(watch_.look_at());
}

TEST_F(HangWatchTest, APortCountsOnlyWhileTheThreadWaitsForIt) {
  base::SignalEventfd(port_.get());
  Wake();
  EXPECT_FALSE(HangsWithin(10 * kLimit));
  pulse_.BeginWork();
  pulse_.BeginWait(std::nullopt, true);
  EXPECT_TRUE(Polled(port_.get()));
  Wake();
  EXPECT_TRUE(HangsWithin(2 * kLimit));
}

TEST_F(HangWatchTest, AnotherPortCountsInstead) {
  pulse_.BeginWork();
  pulse_.BeginWait(std::nullopt, true);
  const base::UniqueFd other = base::MakeEventfd();
  watch_.SetPort(0, other.get());
  watch_.SetPort(1, other.get());  // there is no such thread
  base::SignalEventfd(port_.get());
  Wake();
  EXPECT_FALSE(HangsWithin(10 * kLimit));
  EXPECT_TRUE(Polled(other.get()));
  EXPECT_FALSE(Polled(port_.get()));
}

// The machine was busy, and the thread had no more of it than the watch.
TEST_F(HangWatchTest, TimeInWhichTheWatchWasNotRunDoesNotCount) {
  base::SignalEventfd(kick_.get());
  Wake();
  EXPECT_FALSE(HangsWithin(HangWatch::kInterval));
  now_ += std::chrono::seconds(5);
  EXPECT_FALSE(watch_.Look(now_));
  EXPECT_FALSE(HangsWithin(kLimit / 2)) << "it has some time to catch up";
  EXPECT_TRUE(HangsWithin(kLimit)) << "but not for ever";
}

TEST_F(HangWatchTest, ALimitOfZeroWatchesNothing) {
  watch_.Start({{.name = "worker", .pulse = &pulse_, .fds = {kick_.get()}}},
               coalesce::Duration::zero());
  EXPECT_FALSE(watch_.watching());
  EXPECT_FALSE(Polled(kick_.get()));
  Wake();
  EXPECT_FALSE(watch_.look_at());
}

TEST_F(HangWatchTest, AThreadThatLacksAProcessorDoesNotHang) {
  use_ = ThreadUse{.runnable = true};
  cpu_share_ = 1000;
  base::SignalEventfd(kick_.get());
  Wake();
  EXPECT_FALSE(HangsWithin(20 * kLimit));
}

TEST_F(HangWatchTest, AnEndlessLoopIsAHangOnABusyMachine) {
  use_ = ThreadUse{.runnable = true};
  cpu_share_ = 4;
  base::SignalEventfd(kick_.get());
  Wake();
  EXPECT_FALSE(HangsWithin(kLimit));
  EXPECT_TRUE(HangsWithin(3 * kLimit));
}

TEST_F(HangWatchTest, AnEndlessLoopIsAHangAtOnceOnAnIdleMachine) {
  use_ = ThreadUse{.runnable = true};
  base::SignalEventfd(kick_.get());
  Wake();
  EXPECT_TRUE(HangsWithin(kLimit + 2 * HangWatch::kInterval));
}

TEST_F(HangWatchTest, AStoppedThreadHangsHoweverBusyTheMachineIs) {
  use_ = ThreadUse{.runnable = false};
  base::SignalEventfd(kick_.get());
  Wake();
  EXPECT_TRUE(HangsWithin(kLimit + 2 * HangWatch::kInterval));
}

TEST(ThreadUseTest, ALoopRunsAndAStoppedProcessDoesNot) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    for (std::atomic<int> i = 0;; ++i) {
    }
  }
  const auto use = [child] { return ReadThreadUse(child, child); };
  const auto uses = [&use](milliseconds cpu) { return use()->cpu >= cpu; };
  ASSERT_TRUE(use());
  for (int i = 0; i < 2000 && !uses(milliseconds(100)); ++i) usleep(5000);
  EXPECT_TRUE(uses(milliseconds(100)));
  EXPECT_TRUE(use()->runnable);
  kill(child, SIGSTOP);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  EXPECT_FALSE(use()->runnable);
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_FALSE(use());
}

}  // namespace
}  // namespace program
