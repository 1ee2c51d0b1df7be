// SPDX-License-Identifier: Apache-2.0
//
// The queue with a driver that follows the specification.
#include "vduse/virtqueue.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "tests/vduse/virtqueue_fixture.h"

namespace vduse {
namespace {

using testing::ElementsAre;
using tests::UsedEntry;

INSTANTIATE_TEST_SUITE_P(Rings, VirtqueueTest, kEveryRing, RingName);

TEST_P(VirtqueueTest, AnEmptyRingGivesNothing) {
  EXPECT_FALSE(queue().Pop());
  EXPECT_EQ(queue().Publish(), 0U);
  EXPECT_FALSE(queue().broken());
}

TEST_P(VirtqueueTest, AChainArrivesWithItsReadableAndItsWritableParts) {
  Chain().Readable("head").Readable("er").Writable(10).Writable(20).Offer();

  std::optional<vduse::Chain> chain = queue().Pop();

  ASSERT_TRUE(chain);
  EXPECT_EQ(Gather(*chain), "header");
  EXPECT_EQ(chain->readable().size(), 2U);
  EXPECT_EQ(chain->writable().size(), 2U);
  EXPECT_EQ(chain->readable_bytes(), 6U);
  EXPECT_EQ(chain->writable_bytes(), 30U);
  EXPECT_EQ(chain->slots(), GetParam().indirect ? 1U : 4U);
  queue().Push(std::move(*chain), 0);
}

TEST_P(VirtqueueTest, WhatIsWrittenReachesTheDriver) {
  Chain().Writable(2).Writable(10).Offer();
  std::optional<vduse::Chain> chain = queue().Pop();
  ASSERT_TRUE(chain);
  std::memcpy(chain->writable()[0].iov_base, "an", 2);
  std::memcpy(chain->writable()[1].iov_base, "swer", 4);

  queue().Push(std::move(*chain), 6);
  queue().Publish();

  const std::optional<UsedEntry> used = bed.driver.TakeUsed();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->text(), "answer");
}

TEST_P(VirtqueueTest, NothingIsVisibleBeforePublish) {
  Chain().Readable("a").Offer();
  Chain().Readable("b").Offer();
  std::optional<vduse::Chain> first = queue().Pop();
  std::optional<vduse::Chain> second = queue().Pop();
  queue().Push(std::move(*first), 0);
  queue().Push(std::move(*second), 0);

  EXPECT_FALSE(bed.driver.TakeUsed());
  EXPECT_EQ(queue().Publish(), 2U);
  EXPECT_EQ(bed.driver.DrainUsed(), 2U);
  EXPECT_EQ(queue().Publish(), 0U);
}

TEST_P(VirtqueueTest, ChainsComeInTheOrderInWhichTheyWereOffered) {
  const std::vector<std::string> sent = {"one", "two", "three", "four"};
  for (const std::string& text : sent) Chain().Readable(text).Offer();

  std::vector<std::string> got;
  while (std::optional<vduse::Chain> chain = queue().Pop()) {
    got.push_back(Gather(*chain));
    queue().Push(std::move(*chain), 0);
  }

  EXPECT_EQ(got, sent);
}

TEST_P(VirtqueueTest, UnpopMakesTheNextPopReturnTheChainAgain) {
  Chain().Readable("again").Offer();
  const uint16_t before = queue().position().avail_index;
  std::optional<vduse::Chain> chain = queue().Pop();
  ASSERT_TRUE(chain);

  queue().Unpop(std::move(*chain));

  EXPECT_EQ(queue().position().avail_index, before);
  chain = queue().Pop();
  ASSERT_TRUE(chain);
  EXPECT_EQ(Gather(*chain), "again");
  queue().Push(std::move(*chain), 0);
}

TEST_P(VirtqueueTest, UnpopTakesBackOnlyTheLatest) {
  Chain().Readable("stays").Offer();
  Chain().Readable("returns").Offer();
  std::optional<vduse::Chain> first = queue().Pop();
  std::optional<vduse::Chain> second = queue().Pop();

  queue().Unpop(std::move(*second));

  EXPECT_EQ(Gather(*first), "stays");
  second = queue().Pop();
  EXPECT_EQ(Gather(*first), "stays");
  EXPECT_EQ(Gather(*second), "returns");
  queue().Push(std::move(*first), 0);
  queue().Push(std::move(*second), 0);
  EXPECT_EQ(queue().Publish(), 2U);
  EXPECT_EQ(bed.driver.DrainUsed(), 2U);
}

TEST_P(VirtqueueTest, TakingBackForEverDoesNotUseUpTheSegments) {
  Chain().Readable("first").Offer();
  std::optional<vduse::Chain> oldest = queue().Pop();
  for (uint32_t i = 0; i < 2 * Virtqueue::kMaxSegments; ++i) {
    Chain().Readable("next").Offer();
    std::optional<vduse::Chain> next = queue().Pop();
    ASSERT_TRUE(next) << i;
    queue().Push(std::move(*oldest), 0);
    queue().Unpop(std::move(*next));
    queue().Publish();
    ASSERT_EQ(bed.driver.DrainUsed(), 1U);
    oldest = queue().Pop();
    ASSERT_TRUE(oldest) << i;
    ASSERT_FALSE(oldest->malformed()) << i;
  }
  queue().Push(std::move(*oldest), 0);
}

TEST_P(VirtqueueTest, Row52_TheRingTurnsManyTimes) {
  for (uint32_t turn = 0; turn < 5 * kSize; ++turn) {
    ExpectWorks("turn " + std::to_string(turn));
  }
  EXPECT_EQ(queue().position().avail_index,
            static_cast<uint16_t>(base() + 5 * kSize));
  EXPECT_EQ(bed.driver.used_idx(), queue().position().avail_index);
}

TEST_P(VirtqueueTest, Row52_AFullRingIsTakenAndReturnedWhole) {
  for (uint32_t i = 0; i < kSize; ++i) Chain().Readable("x").Offer();
  std::vector<vduse::Chain> taken;

  while (std::optional<vduse::Chain> chain = queue().Pop()) {
    taken.push_back(std::move(*chain));
  }

  EXPECT_EQ(taken.size(), kSize);
  EXPECT_FALSE(queue().broken());
  for (vduse::Chain& chain : taken) queue().Push(std::move(chain), 0);
  EXPECT_EQ(queue().Publish(), kSize);
  EXPECT_EQ(bed.driver.DrainUsed(), kSize);
  EXPECT_EQ(bed.driver.outstanding(), 0U);
}

TEST_P(VirtqueueTest, Row144_NoMoreIsClaimedThanTheDriverLent) {
  Chain().Readable("request").Writable(5).Offer();
  std::optional<vduse::Chain> chain = queue().Pop();

  queue().Push(std::move(*chain), std::numeric_limits<uint64_t>::max());
  queue().Publish();

  const std::optional<UsedEntry> used = bed.driver.TakeUsed();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->len, 5U);
}

TEST_P(VirtqueueTest, Row144_AChainWithoutAWritablePartGetsLengthZero) {
  Chain().Readable("request").Offer();
  Complete(7);
}

TEST_P(VirtqueueTest, Row145_EveryHeadComesBackOnceAndUnchanged) {
  std::vector<uint32_t> offered;
  std::vector<uint32_t> returned;
  for (uint32_t round = 0; round < 20; ++round) {
    offered.push_back(Chain().Readable("a").Offer());
    offered.push_back(Chain().Writable(1).Offer());
    std::optional<vduse::Chain> first = queue().Pop();
    std::optional<vduse::Chain> second = queue().Pop();
    queue().Push(std::move(*first), 0);
    queue().Push(std::move(*second), 1);
    queue().Publish();
    while (const std::optional<UsedEntry> used = bed.driver.TakeUsed()) {
      returned.push_back(used->id);
    }
  }
  EXPECT_EQ(returned, offered);
}

TEST_P(VirtqueueTest, Row146_NothingIsWrittenOnceTheRingsAreUnmapped) {
  Chain().Readable("pushed, not published").Offer();
  std::optional<vduse::Chain> chain = queue().Pop();
  queue().Push(std::move(*chain), 0);
  Chain().Readable("offered too late").Offer();

  queue().UnmapRings();

  EXPECT_FALSE(queue().mapped());
  EXPECT_FALSE(queue().Pop());
  EXPECT_EQ(queue().Publish(), 0U);
  EXPECT_FALSE(queue().NotificationWanted());
  EXPECT_FALSE(queue().EnableKicks());
  queue().DisableKicks();
  queue().PushUnusableEntry();
  EXPECT_EQ(bed.driver.used_idx(), base());
  EXPECT_FALSE(bed.driver.KicksDisabled());
}

TEST_P(VirtqueueTest, TheQueueGoesOnWhereItWasAfterARemap) {
  ExpectWorks("before");
  queue().UnmapRings();
  bed.map.DropAll();

  ASSERT_TRUE(queue().MapRings());

  EXPECT_TRUE(queue().mapped());
  ExpectWorks("after");
}

TEST_P(VirtqueueTest, WhatWasPushedIsPublishedAfterARemap) {
  Chain().Readable("in between").Offer();
  std::optional<vduse::Chain> chain = queue().Pop();
  queue().Push(std::move(*chain), 0);
  queue().UnmapRings();
  EXPECT_EQ(queue().Publish(), 0U);

  ASSERT_TRUE(queue().MapRings());

  EXPECT_EQ(queue().Publish(), 1U);
  EXPECT_EQ(bed.driver.DrainUsed(), 1U);
}

TEST_P(VirtqueueTest, MapRingsFailsWhileTheDriverHasNoMapping) {
  queue().UnmapRings();
  bed.map.DropAll();
  bed.device.FailLookups(1, absl::ResourceExhaustedError("EMFILE"));

  EXPECT_FALSE(queue().MapRings());
  EXPECT_FALSE(queue().mapped());
  EXPECT_TRUE(queue().MapRings());
  ExpectWorks("later");
}

TEST_P(VirtqueueTest, ARecoveredQueueResumesAtTheUsedIndex) {
  ExpectWorks("done by the first process");
  Chain().Readable("popped, never returned").Offer();
  std::optional<vduse::Chain> lost = queue().Pop();

  Virtqueue second = *bed.Create(Virtqueue::Start::kRecovered);

  std::optional<vduse::Chain> chain = second.Pop();
  ASSERT_TRUE(chain);
  EXPECT_EQ(Gather(*chain), "popped, never returned");
  second.Push(std::move(*chain), 0);
  EXPECT_EQ(second.Publish(), 1U);
  EXPECT_EQ(bed.driver.DrainUsed(), 1U);
  queue().Unpop(std::move(*lost));
}

TEST_P(VirtqueueTest, TheUnusableEntryIsSeenOnceAndNamesNoDescriptor) {
  queue().PushUnusableEntry();

  EXPECT_EQ(bed.driver.used_idx(), static_cast<uint16_t>(base() + 1));
  EXPECT_EQ(bed.driver.used_elem(base()).id, 0xffffU);
  EXPECT_EQ(bed.driver.used_elem(base()).len, 0U);
}

TEST_P(VirtqueueTest, ALaterReasonDoesNotReplaceTheFirst) {
  queue().Break("the first");
  queue().Break("the second");
  EXPECT_EQ(queue().broken_reason(), "the first");
}

}  // namespace
}  // namespace vduse
