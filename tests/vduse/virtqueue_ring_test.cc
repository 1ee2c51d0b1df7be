// SPDX-License-Identifier: Apache-2.0
//
// Drivers with invalid rings: indices, heads, and rings overwritten while the
// device uses them.
#include <cstring>

#include "tests/vduse/virtqueue_fixture.h"

namespace vduse {
namespace {

class RingTest : public VirtqueueTest {
 protected:
  void SetAvailIdx(int relative_to_base) {
    bed.driver.StoreAvail(kAvailIdx,
                          static_cast<uint16_t>(base() + relative_to_base));
  }

  // Checks that the error is latched: nothing the driver does clears it.
  void ExpectLatched() {
    EXPECT_FALSE(queue().Pop());
    EXPECT_TRUE(queue().broken());
    const std::string reason = queue().broken_reason();
    EXPECT_FALSE(reason.empty());
    SetAvailIdx(0);
    EXPECT_FALSE(queue().Pop());
    SetAvailIdx(1);
    EXPECT_FALSE(queue().Pop());
    EXPECT_FALSE(queue().EnableKicks());
    EXPECT_EQ(queue().broken_reason(), reason);
  }
};

INSTANTIATE_TEST_SUITE_P(Rings, RingTest, kEveryRing, RingName);

TEST_P(RingTest, Row21_AnIndexFurtherAheadThanTheRingIsLongLatches) {
  SetAvailIdx(kSize + 1);
  ExpectLatched();
}

TEST_P(RingTest, Row21_AnIndexThatGoesBackwardsLatches) {
  ExpectWorks("one");
  ExpectWorks("two");
  SetAvailIdx(1);
  ExpectLatched();
}

TEST_P(RingTest, Row21_AnIndexOneBeforeTheStartLatches) {
  SetAvailIdx(-1);
  ExpectLatched();
}

TEST_P(RingTest, Row21_AnIndexBehindWhatIsPoppedLatches) {
  Chain().Readable("a").Offer();
  Chain().Readable("b").Offer();
  std::optional<vduse::Chain> first = queue().Pop();
  std::optional<vduse::Chain> second = queue().Pop();
  SetAvailIdx(1);

  EXPECT_FALSE(queue().Pop());

  EXPECT_TRUE(queue().broken());
  queue().Push(std::move(*first), 0);
  queue().Push(std::move(*second), 0);
}

TEST_P(RingTest, Row21_EnablingKicksSeesAnImpossibleIndexToo) {
  SetAvailIdx(kSize + 1);
  EXPECT_FALSE(queue().EnableKicks());
  ExpectLatched();
}

TEST_P(RingTest, Row21_WorkThatWasTakenIsCompletedAfterTheLatch) {
  Chain().Readable("taken").Offer();
  std::optional<vduse::Chain> taken = queue().Pop();
  SetAvailIdx(100);
  EXPECT_FALSE(queue().Pop());
  ASSERT_TRUE(queue().broken());

  queue().Push(std::move(*taken), 0);

  EXPECT_EQ(queue().Publish(), 1U);
  EXPECT_EQ(bed.driver.DrainUsed(), 1U);
}

TEST_P(RingTest, Row14_AStartIndexFarFromTheAvailableIndexLatches) {
  for (const int distance : {int{kSize} + 1, 1000, 32768, 65535}) {
    Virtqueue fresh = *bed.Create(Virtqueue::Start::kFresh);
    SetAvailIdx(distance);
    EXPECT_FALSE(fresh.Pop()) << distance;
    EXPECT_TRUE(fresh.broken()) << distance;
  }
}

TEST_P(RingTest, Row14_EveryStartIndexRuns) {
  for (uint32_t start = 0; start <= UINT16_MAX; start += 257) {
    bed.driver.Restart(static_cast<uint16_t>(start));
    bed.queue = *bed.Create(Virtqueue::Start::kFresh);
    ExpectWorks("from " + std::to_string(start));
    ASSERT_EQ(queue().position().avail_index, static_cast<uint16_t>(start + 1));
  }
}

TEST_P(RingTest, Row51_AnOverwrittenUsedIndexIsBoundedAtRecovery) {
  ExpectWorks("one");
  bed.driver.StoreUsed(kUsedIdx, static_cast<uint16_t>(base() + 0x4000));
  Virtqueue second = *bed.Create(Virtqueue::Start::kRecovered);
  EXPECT_FALSE(second.Pop());
  EXPECT_TRUE(second.broken());
}

TEST_P(RingTest, Row51_TheDevicesOwnIndexIsNotReadBack) {
  for (const int garbage : {0, 1, -1, 100, 0x8000}) {
    const uint16_t before = queue().position().avail_index;
    Chain().Readable("x").Offer();
    std::optional<vduse::Chain> chain = queue().Pop();
    ASSERT_TRUE(chain);
    bed.driver.StoreUsed(kUsedIdx, static_cast<uint16_t>(before + garbage));
    bed.driver.StoreUsed(kUsedFlags, 0xffff);
    bed.driver.StoreUsed(bed.driver.AvailEventWord(), 0x1234);
    queue().Push(std::move(*chain), 0);
    EXPECT_EQ(queue().Publish(), 1U);
    EXPECT_EQ(bed.driver.used_idx(), static_cast<uint16_t>(before + 1));
    EXPECT_TRUE(bed.driver.TakeUsed());
  }
  EXPECT_FALSE(queue().broken());
}

TEST_P(RingTest, Row22_ADriverThatNeverStopsOfferingGivesOneRingAtMost) {
  std::vector<vduse::Chain> taken;
  for (uint32_t i = 0; i < kSize; ++i) Chain().Readable("x").Offer();
  while (std::optional<vduse::Chain> chain = queue().Pop()) {
    taken.push_back(std::move(*chain));
    ASSERT_LE(taken.size(), kSize);
    if (taken.size() == kSize) SetAvailIdx(2 * kSize);
  }
  EXPECT_EQ(taken.size(), kSize);
  for (vduse::Chain& chain : taken) queue().Push(std::move(chain), 0);
}

TEST_P(RingTest, Row57_MoreInFlightThanTheRingHoldsLatches) {
  std::vector<vduse::Chain> taken;
  for (uint32_t i = 0; i < kSize; ++i) {
    Chain().Readable("x").Offer();
    taken.push_back(std::move(*queue().Pop()));
  }
  SetAvailIdx(kSize + 1);

  EXPECT_FALSE(queue().Pop());

  EXPECT_TRUE(queue().broken());
  for (vduse::Chain& chain : taken) queue().Push(std::move(chain), 0);
  EXPECT_EQ(queue().Publish(), kSize);
  EXPECT_EQ(bed.driver.DrainUsed(), kSize);
}

TEST_P(RingTest, Row23_AHeadBeyondTheTableLatches) {
  for (const uint16_t head :
       {uint16_t{kSize}, uint16_t{0x8000}, uint16_t{0xffff}}) {
    bed.driver.Restart(base());
    bed.queue = *bed.Create(Virtqueue::Start::kFresh);
    bed.driver.OfferHead(head);
    ExpectLatched();
  }
}

TEST_P(RingTest, Row23_ChainsBeforeTheBadHeadAreServed) {
  Chain().Readable("good").Offer();
  bed.driver.OfferHead(kSize);
  Complete();
  EXPECT_FALSE(queue().Pop());
  EXPECT_TRUE(queue().broken());
}

TEST_P(RingTest, Row24_AHeadOfferedTwiceIsReturnedTwiceInOrder) {
  const uint16_t head = Chain().Readable("twice").Build();
  bed.driver.OfferHead(head);
  bed.driver.OfferHead(head);
  std::optional<vduse::Chain> first = queue().Pop();
  std::optional<vduse::Chain> second = queue().Pop();
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  EXPECT_EQ(Gather(*first), Gather(*second));
  queue().Push(std::move(*first), 0);
  queue().Push(std::move(*second), 0);
  EXPECT_EQ(queue().Publish(), 2U);
  EXPECT_EQ(bed.driver.DrainUsed(), 2U);
}

TEST_P(RingTest, Row24_ARingFullOfOneHeadIsServed) {
  const uint16_t head = Chain().Readable("x").Writable(3).Build();
  for (int round = 0; round < 3; ++round) {
    for (uint32_t i = 0; i < kSize; ++i) bed.driver.OfferHead(head);
    uint32_t taken = 0;
    while (std::optional<vduse::Chain> chain = queue().Pop()) {
      queue().Push(std::move(*chain), 3);
      ++taken;
    }
    EXPECT_EQ(taken, kSize);
    EXPECT_EQ(queue().Publish(), kSize);
    for (uint32_t i = 0; i < kSize; ++i) {
      const uint16_t slot =
          static_cast<uint16_t>(queue().position().avail_index - i - 1);
      EXPECT_EQ(bed.driver.used_elem(slot).id, head);
    }
    bed.driver.Restart(queue().position().avail_index);
    const uint16_t again = Chain().Readable("x").Writable(3).Build();
    ASSERT_EQ(again, head);
  }
}

TEST_P(RingTest, Row55_ABrokenQueueIsEmptyForEver) {
  bed.driver.OfferHead(kSize);
  EXPECT_FALSE(queue().Pop());
  // The driver repairs its ring.
  bed.driver.Restart(base());
  Chain().Readable("too late").Offer();
  for (int i = 0; i < 1000; ++i) ASSERT_FALSE(queue().Pop());
  EXPECT_EQ(bed.driver.used_idx(), base());
}

TEST_P(RingTest, Row12_BuffersOnTopOfTheRingsLatchThisQueue) {
  const QueueInfo& info = bed.driver.info();
  Chain().WritableAt(info.device_addr, 4 + 8 * kSize).Offer();
  Chain().WritableAt(info.driver_addr, 4 + 2 * kSize).Offer();
  Chain().Readable("its head is overwritten").Offer();
  int steps = 0;
  while (std::optional<vduse::Chain> chain = queue().Pop()) {
    for (const iovec& part : chain->writable()) {
      std::memset(part.iov_base, 0x41, part.iov_len);
    }
    const uint64_t written = chain->writable_bytes();
    queue().Push(std::move(*chain), written);
    queue().Publish();
    ++steps;
  }
  EXPECT_EQ(steps, 2);
  EXPECT_TRUE(queue().broken());
}

TEST_P(RingTest, Row12_ABufferOnTopOfTheDescriptorsSpoilsTheNextChain) {
  Chain().WritableAt(bed.driver.info().desc_addr, 16 * kSize).Offer();
  Chain().Readable("lost").Offer();
  std::optional<vduse::Chain> chain = queue().Pop();
  ASSERT_TRUE(chain);
  std::memset(chain->writable()[0].iov_base, 0x41,
              chain->writable()[0].iov_len);
  queue().Push(std::move(*chain), 0);

  chain = queue().Pop();

  ASSERT_TRUE(chain);
  EXPECT_TRUE(chain->malformed());
  queue().Push(std::move(*chain), 0);
  EXPECT_EQ(queue().Publish(), 2U);
  EXPECT_EQ(bed.driver.DrainUsed(), 2U);
}

TEST_P(RingTest, Row12_ABufferOnTopOfAnotherQueuesRingHarmsThatDriverOnly) {
  tests::DriverQueue victim(bed.device, bed.memory,
                            {.index = 0, .size = kSize, .base = base()});
  Virtqueue second = *Virtqueue::Create(victim.info(), bed.features,
                                        Virtqueue::Start::kFresh, bed.map);
  Chain().WritableAt(victim.info().driver_addr, 4 + 2 * kSize).Offer();
  std::optional<vduse::Chain> chain = queue().Pop();
  ASSERT_TRUE(chain);
  std::memset(chain->writable()[0].iov_base, 0x41,
              chain->writable()[0].iov_len);
  queue().Push(std::move(*chain), 0);
  queue().Publish();

  EXPECT_FALSE(second.Pop());

  EXPECT_TRUE(second.broken());
  EXPECT_FALSE(queue().broken());
  EXPECT_TRUE(bed.driver.TakeUsed());
  ExpectWorks("untouched");
}

}  // namespace
}  // namespace vduse
