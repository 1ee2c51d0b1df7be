// SPDX-License-Identifier: Apache-2.0
//
// What the driver's wish and the coalescer make of each other.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <numeric>

#include "tests/net/path/notified_queue_fixture.h"
#include "tests/support/instant.h"

namespace net {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

class NotifiedQueueTest : public testing::TestWithParam<bool> {
 protected:
  static constexpr uint32_t kSize = 16;

  NotifiedQueueTest() {
    bed.Start(65530, kSize);
    // The first flush always notifies.
    bed.Complete(1, now);
    before = bed.injects();
  }

  void Set(uint32_t max_packets, uint32_t max_usecs) {
    queue().SetCoalescing(
        coalesce::Params{.max_packets = max_packets, .max_usecs = max_usecs},
        now);
  }
  uint64_t notified() { return bed.injects() - before; }
  NotifiedQueue& queue() { return *bed.queue; }

  NotifiedQueueBed bed{kSize, GetParam()};
  Instant now = tests::At(seconds(1000));
  uint64_t before = 0;
};

INSTANTIATE_TEST_SUITE_P(EventIdx, NotifiedQueueTest, testing::Bool());

TEST_P(NotifiedQueueTest, AConditionMetWhileSuppressedIsOverAndCountsAnew) {
  Set(4, 1000);
  bed.WantNone();
  bed.Complete(4, now);
  EXPECT_EQ(notified(), 0U);
  EXPECT_FALSE(queue().deadline());
  bed.Want();
  queue().OnTimer(now + seconds(5));
  EXPECT_EQ(notified(), 0U) << "the driver looks itself when it wants again";
  bed.Complete(3, now);
  EXPECT_EQ(notified(), 0U);
  bed.Complete(1, now);
  EXPECT_EQ(notified(), 1U);
}

TEST_P(NotifiedQueueTest, Row129_ADriverThatAsksAndAsksGetsOnePerPacket) {
  for (uint64_t packets = 1; packets <= 50; ++packets) {
    bed.Want();
    bed.Complete(1, now);
    EXPECT_EQ(notified(), packets);
    for (uint16_t word = 0; word < 20; ++word) {
      bed.WantNone();
      queue().OnTimer(now);
      bed.Want(static_cast<uint16_t>(word - 10));
      queue().OnTimer(now);
      now += seconds(1);
    }
    EXPECT_EQ(notified(), packets) << "nothing is new";
  }
}

TEST_P(NotifiedQueueTest, Row129_ADriverThatAsksForEachIsCoalescedAllTheSame) {
  Set(4, 1'000'000);
  for (uint64_t packets = 1; packets <= 50; ++packets) {
    bed.Want();
    bed.Complete(1, now);
    EXPECT_EQ(notified(), packets / 4);
  }
}

TEST_P(NotifiedQueueTest, WhatIsPendingWhenTheRingLatchesIsSentInItsTime) {
  Set(100, 1000);
  bed.Want();
  bed.Complete(2, now);
  queue().ring().Break("a test");
  queue().OnTimer(now + microseconds(999));
  EXPECT_EQ(notified(), 0U);
  queue().OnTimer(now + microseconds(1000));
  EXPECT_EQ(notified(), 1U);
}

// It may stop at any time, and then waits for a notification.
TEST_P(NotifiedQueueTest, ADriverShortOfDescriptorsIsAskedAtEachPublish) {
  Set(100, 1000);
  bed.WantNone();
  bed.Complete(kSize, now);
  for (uint32_t i = 0; i < 3; ++i) bed.Complete(1, now);
  EXPECT_EQ(notified(), 0U);
  bed.Want();
  bed.Complete(1, now);
  EXPECT_EQ(notified(), 1U);
  bed.Want();
  bed.Complete(kSize - 1, now);
  EXPECT_EQ(notified(), 1U) << "counted anew";
  bed.Complete(1, now);
  EXPECT_EQ(notified(), 2U);
}

TEST_P(NotifiedQueueTest, ADelayOverWhileSuppressedIsNotMadeUpFor) {
  Set(100, 50);
  bed.Complete(1, now);
  bed.WantNone();
  now += microseconds(50);
  queue().OnTimer(now);
  EXPECT_FALSE(queue().deadline());
  bed.Want();
  bed.Complete(1, now);
  EXPECT_EQ(queue().deadline(), now + microseconds(50));
  EXPECT_EQ(notified(), 0U);
}

TEST_P(NotifiedQueueTest, AChangeOfParametersDoesNotOverrideTheDriversWish) {
  Set(15, 1000);
  bed.Complete(10, now);
  bed.WantNone();
  Set(8, 1000);
  EXPECT_EQ(notified(), 0U);
  EXPECT_EQ(queue().counters().suppressed, 1U);
}

TEST_P(NotifiedQueueTest, WhatIsWantedWhenItIsDueCounts) {
  Set(4, 1000);
  bed.WantNone();
  bed.Complete(3, now);
  bed.Want();
  bed.Complete(1, now);
  EXPECT_EQ(notified(), 1U);
}

TEST_P(NotifiedQueueTest, WhatPacketsWaitedForTheirNotificationsAddsUp) {
  const auto waited = [this] { return queue().counters().waited_ns; };
  ASSERT_EQ(waited(), 0U);
  Set(100, 50);
  bed.Want();
  bed.Complete(1, now);
  bed.Complete(2, now + microseconds(20));
  queue().OnTimer(now += microseconds(60));
  EXPECT_EQ(waited(), 60'000U + 2 * 40'000);
  bed.WantNone();
  bed.Complete(1, now);
  queue().OnTimer(now += microseconds(60));
  EXPECT_EQ(waited(), 140'000U) << "a driver that polls waits for none";
}

TEST_P(NotifiedQueueTest, EachFlushIsCountedByItsCause) {
  using enum FlushCause;
  std::array<uint64_t, kFlushCauses> expected = queue().counters().causes;
  const auto expect = [&](FlushCause cause) {
    ++expected[static_cast<size_t>(cause)];
    EXPECT_EQ(queue().counters().causes, expected) << FlushCauseName(cause);
  };
  Set(2, 50);
  bed.Complete(2, now);
  expect(kPackets);
  bed.Complete(1, now);
  queue().OnTimer(now += microseconds(50));
  expect(kTime);
  bed.Complete(1, now);
  bed.Complete(1, now += microseconds(60));
  expect(kTime);  // the timer was late
  bed.Complete(1, now);
  Set(1, 50);
  expect(kParams);
  Set(0, 0);
  bed.Complete(1, now);
  expect(kPackets);
  Set(kSize, 50);
  bed.Want();
  bed.Complete(kSize / 2, now, 1, 2);
  expect(kDescriptors);
  for (const FlushCause cause : {kStarved, kStop, kSuspend}) {
    bed.Complete(1, now);
    bed.WantNone();
    cause == kStarved ? queue().FlushPending(cause, now)
                      : queue().Settle(cause, now);
    expect(cause);
    queue().FlushPending(cause, now);
    queue().Settle(cause, now);
    EXPECT_EQ(queue().counters().causes, expected) << "nothing was pending";
  }
  EXPECT_EQ(queue().counters().flushes,
            std::accumulate(expected.begin(), expected.end(), uint64_t{0}));
}

TEST_P(NotifiedQueueTest, TheHistogramsHaveEachNotificationAndEachTimer) {
  NotificationHistograms histograms;
  queue().RecordTo(histograms);
  Set(4, 50);
  bed.Want();
  bed.Complete(1, now);
  bed.Complete(3, now += microseconds(20));
  EXPECT_EQ(histograms.packets.max(), 4U);
  EXPECT_EQ(histograms.delay_ns.max(), 20'000U);
  EXPECT_EQ(histograms.lateness_ns.count(), 0U);
  bed.Want();
  bed.Complete(2, now);
  queue().OnTimer(now += microseconds(57));
  EXPECT_EQ(histograms.packets.sum(), 4U + 2U);
  EXPECT_EQ(histograms.delay_ns.sum(), 20'000U + 57'000U);
  EXPECT_EQ(histograms.lateness_ns.sum(), 7'000U);
  // Without a notification nothing waited for one; the timer was late still.
  bed.WantNone();
  bed.Complete(1, now);
  queue().OnTimer(now += microseconds(51));
  EXPECT_EQ(histograms.packets.count(), 2U);
  EXPECT_EQ(histograms.delay_ns.count(), 2U);
  EXPECT_EQ(histograms.lateness_ns.count(), 2U);
  EXPECT_EQ(histograms.lateness_ns.sum(), 8'000U);
}

TEST_P(NotifiedQueueTest, WhatIsCancelledIsNotNotified) {
  Set(kSize, 50);
  bed.Want();
  bed.Complete(1, now);
  queue().Cancel();
  EXPECT_FALSE(queue().deadline());
  queue().OnTimer(now + seconds(1));
  EXPECT_EQ(notified(), 0U);
  EXPECT_EQ(queue().counters().cancelled, 1U);
  queue().Cancel();
  EXPECT_EQ(queue().counters().cancelled, 1U);
}

}  // namespace
}  // namespace net
