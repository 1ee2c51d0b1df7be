// SPDX-License-Identifier: Apache-2.0
#include "net/path/step_context.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "net/path/packet_port.h"
#include "tests/net/path/notified_queue_fixture.h"
#include "tests/support/instant.h"

namespace net {
namespace {

using coalesce::Direction;
using std::chrono::microseconds;
using std::chrono::seconds;

class StepContextTest : public testing::Test {
 protected:
  static constexpr uint32_t kSize = 64;
  static constexpr auto kPacketsIn20Usecs =
      static_cast<size_t>(microseconds(20) / StepContext::kPacketTime);

  StepContextTest() {
    bed.Start(0, NotifiedQueue::kNoEarlyFlush);
    bed.Complete(1, now);  // The first flush always notifies.
  }

  // Notifications wait for `usecs`.
  void Delay(uint32_t usecs) {
    queue().SetCoalescing(
        coalesce::Params{.max_packets = 1000, .max_usecs = usecs}, now);
  }
  NotifiedQueue& queue() { return *bed.queue; }
  Instant Read() {
    ++reads;
    return now;
  }
  void Look(StepContext& context) {
    context.Look([this] { return Read(); });
  }
  void Begin(StepContext& context, bool polling = false) {
    context.SetQueue(Direction::kRx, &queue());
    context.Begin([this] { return Read(); }, polling);
  }

  NotifiedQueueBed bed{kSize, false};
  Instant now = tests::At(seconds(1000));
  int reads = 0;
};

TEST_F(StepContextTest, AStepBeginsWithTheClockAndWithNothingDone) {
  StepContext context(false);
  Begin(context);
  EXPECT_EQ(reads, 1);
  EXPECT_EQ(context.now(), now);
  EXPECT_FALSE(context.worked() || context.again() || context.polling());
  context.SetWorked();
  context.SetAgain();
  EXPECT_TRUE(context.worked() && context.again());
  Begin(context);
  EXPECT_FALSE(context.worked() || context.again());
}

TEST_F(StepContextTest, AWorkerThatPollsStepsAgainAtOnce) {
  StepContext context(false);
  Begin(context, true);
  EXPECT_TRUE(context.polling() && context.again());
}

TEST_F(StepContextTest, TheClockIsReadAgainAfterManyBytes) {
  StepContext context(false);
  Begin(context);
  Look(context);
  context.CountBytes(StepContext::kLookBytes - 1);
  Look(context);
  EXPECT_EQ(reads, 1);
  context.CountBytes(1);
  now += microseconds(7);
  Look(context);
  EXPECT_EQ(reads, 2);
  EXPECT_EQ(context.now(), now);
  Look(context);
  EXPECT_EQ(reads, 2) << "counted anew";
}

TEST_F(StepContextTest, ALookSendsTheNotificationsThatAreDue) {
  Delay(10);
  StepContext context(false);
  Begin(context);
  bed.Complete(1, now);
  const uint64_t before = bed.injects();
  ASSERT_EQ(context.NotifyDeadline(), now + microseconds(10));
  now += microseconds(10);
  context.CountBytes(StepContext::kLookBytes);
  Look(context);
  EXPECT_EQ(bed.injects(), before + 1);
  EXPECT_FALSE(context.NotifyDeadline());
}

TEST_F(StepContextTest, WithTimerPollTheClockIsReadWhileADeadlineRuns) {
  Delay(10);
  StepContext context(true);
  Begin(context);
  Look(context);
  EXPECT_EQ(reads, 1) << "nothing waits";
  bed.Complete(1, now);
  Look(context);
  EXPECT_EQ(reads, 2);
}

TEST_F(StepContextTest, WithoutTimerPollABatchIsAsLargeAsItMayBe) {
  Delay(1);
  StepContext context(false);
  Begin(context);
  bed.Complete(1, now);
  EXPECT_EQ(context.BatchLimit(), kMaxBatch);
}

TEST_F(StepContextTest, WithTimerPollABatchEndsBeforeTheDeadline) {
  Delay(20);
  StepContext context(true);
  Begin(context);
  bed.Complete(1, now);
  EXPECT_EQ(context.BatchLimit(), kPacketsIn20Usecs);
  now += microseconds(19);
  Begin(context);
  EXPECT_EQ(context.BatchLimit(), 1U) << "one packet passes, however late";
  now += microseconds(100);
  Begin(context);
  EXPECT_EQ(context.BatchLimit(), 1U);
}

TEST_F(StepContextTest, WithTimerPollTheDelayLimitsABatchThatMayStartOne) {
  StepContext context(true);
  Begin(context);
  EXPECT_EQ(context.BatchLimit(), kMaxBatch) << "nothing is delayed";
  Delay(20);
  EXPECT_EQ(context.BatchLimit(), kPacketsIn20Usecs);
  Delay(1);
  EXPECT_EQ(context.BatchLimit(), size_t{StepContext::kFewest});
  Delay(1000);
  EXPECT_EQ(context.BatchLimit(), kMaxBatch);
}

TEST_F(StepContextTest, AQueueThatHasStoppedIsLeftOut) {
  Delay(10);
  StepContext context(true);
  Begin(context);
  bed.Complete(1, now);
  context.SetQueue(Direction::kRx, nullptr);
  EXPECT_FALSE(context.NotifyDeadline());
  EXPECT_EQ(context.BatchLimit(), kMaxBatch);
  now += microseconds(10);
  const uint64_t before = bed.injects();
  Begin(context);
  context.SetQueue(Direction::kRx, nullptr);
  context.NotifyDue();
  EXPECT_EQ(bed.injects(), before);
}

}  // namespace
}  // namespace net
