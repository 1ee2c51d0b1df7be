// SPDX-License-Identifier: Apache-2.0
//
// Malformed chains: they are returned with length 0, and the queue continues.
#include <atomic>
#include <thread>

#include "tests/vduse/virtqueue_fixture.h"

namespace vduse {
namespace {

class ChainTest : public VirtqueueTest {
 protected:
  static constexpr uint64_t kPage = 4096;
  // Three adjacent regions of one page each, added by AddPages().
  static constexpr uint64_t kPages = 0x20000000;

  void AddPages(tests::Perm middle = tests::Perm::kReadWrite) {
    bed.device.AddRegion(kPages, kPage);
    bed.device.AddRegion(kPages + kPage, kPage, middle);
    bed.device.AddRegion(kPages + 2 * kPage, kPage);
  }
};

INSTANTIATE_TEST_SUITE_P(Rings, ChainTest, kEveryRing, RingName);

TEST_P(ChainTest, Row25_ANextBeyondTheTableIsDropped) {
  const uint16_t head = Chain().Readable("a").Readable("b").Build();
  DescOf(head, 0).next = kSize;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kDescriptorIndex);
}

TEST_P(ChainTest, Row26_AChainThatNamesItselfIsDropped) {
  const uint16_t head = Chain().Readable("a").Readable("b").Build();
  DescOf(head, 0).next = GetParam().indirect ? 0 : head;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kTooLong);
}

TEST_P(ChainTest, Row26_ACycleOfTwoIsDropped) {
  const uint16_t head = Chain().Readable("a").Readable("b").Build();
  DescOf(head, 1).flags |= kDescNext;
  DescOf(head, 1).next = GetParam().indirect ? 0 : head;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kTooLong);
}

TEST_P(ChainTest, Row26_ALoopOfNoBytesIsDropped) {
  const uint16_t head = Chain().ReadableAt(kHole, 0).Build();
  DescOf(head, 0).flags |= kDescNext;
  DescOf(head, 0).next = GetParam().indirect ? 0 : head;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kTooLong);
}

TEST_P(ChainTest, Row27_AChainAsLongAsTheRingIsTaken) {
  tests::ChainBuilder chain = Chain();
  for (uint32_t i = 0; i < kSize; ++i) chain.Readable("x");
  chain.Offer();
  std::optional<vduse::Chain> taken = queue().Pop();
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->readable().size(), kSize);
  queue().Push(std::move(*taken), 0);
}

TEST_P(ChainTest, Row29_SegmentsOfNoBytesAreSkipped) {
  const uint64_t buffer = bed.memory.Allocate(64);
  Chain()
      .ReadableAt(buffer, 0)
      .Readable("text")
      .ReadableAt(buffer, 0)
      .WritableAt(buffer, 0)
      .Writable(3)
      .Offer();
  std::optional<vduse::Chain> chain = queue().Pop();
  ASSERT_TRUE(chain);
  EXPECT_EQ(chain->readable().size(), 1U);
  EXPECT_EQ(chain->writable().size(), 1U);
  EXPECT_EQ(Gather(*chain), "text");
  queue().Push(std::move(*chain), 0);
}

TEST_P(ChainTest, Row30_TheAddressOfNoBytesIsNotLookedUp) {
  Chain().ReadableAt(kHole, 0).Readable("text").WritableAt(~0ULL, 0).Offer();
  const uint64_t lookups = bed.device.lookups();
  std::optional<vduse::Chain> chain = queue().Pop();
  ASSERT_TRUE(chain);
  EXPECT_EQ(Gather(*chain), "text");
  EXPECT_EQ(bed.device.lookups(), lookups);
  queue().Push(std::move(*chain), 0);
}

TEST_P(ChainTest, Row31_ALengthOfFourGigabytesIsDropped) {
  Chain().ReadableAt(bed.memory.Allocate(64), 0xffffffff).Offer();
  ExpectDropped(ChainError::kAddress);
}

TEST_P(ChainTest, Row31_LengthsThatSumUpPastFourGigabytesAreDropped) {
  constexpr uint64_t kBig = 0x4000000000;
  bed.device.AddRegion(kBig, 1 << 30);
  tests::ChainBuilder chain = Chain();
  for (int i = 0; i < 2; ++i) chain.ReadableAt(kBig, 1 << 30);
  for (int i = 0; i < 3; ++i) chain.WritableAt(kBig, 1 << 30);
  chain.Offer();
  ExpectDropped(ChainError::kLength);
}

TEST_P(ChainTest, Row32_ABufferThatWrapsTheAddressSpaceIsDropped) {
  bed.device.AddRegion(~uint64_t{0xfff}, kPage);
  bed.device.AddRegion(0, kPage);
  Chain().ReadableAt(~uint64_t{15}, 17).Offer();
  ExpectDropped(ChainError::kAddress);
}

TEST_P(ChainTest, Row32_ABufferThatEndsWithTheAddressSpaceIsTaken) {
  bed.device.AddRegion(~uint64_t{0xfff}, kPage);
  Chain().ReadableAt(~uint64_t{15}, 16).Offer();
  std::optional<vduse::Chain> chain = queue().Pop();
  ASSERT_TRUE(chain);
  EXPECT_EQ(chain->readable_bytes(), 16U);
  queue().Push(std::move(*chain), 0);
}

TEST_P(ChainTest, Row33_AnUnmappedBufferIsDropped) {
  Chain().Readable("header").ReadableAt(kHole, 100).Offer();
  ExpectDropped(ChainError::kAddress);
}

TEST_P(ChainTest, Row33_AddressZeroIsNoBuffer) {
  Chain().WritableAt(0, 1).Offer();
  ExpectDropped(ChainError::kAddress);
}

TEST_P(ChainTest, Row34_ABufferOneByteBeforeARegionIsDropped) {
  AddPages();
  Chain().ReadableAt(kPages - 1, 10).Offer();
  ExpectDropped(ChainError::kAddress);
}

TEST_P(ChainTest, Row35_ABufferThatEndsOutsideItsRegionIsDropped) {
  AddPages();
  Chain().ReadableAt(kPages + 3 * kPage - 9, 10).Offer();
  ExpectDropped(ChainError::kAddress);
}

TEST_P(ChainTest, Row36_ABufferOverThreeRegionsComesInThreeParts) {
  AddPages();
  bed.device.Poke(kPages + kPage - 2, std::vector<uint8_t>{'a', 'b', 'c'});
  Chain().ReadableAt(kPages + kPage - 2, kPage + 4).Offer();
  std::optional<vduse::Chain> chain = queue().Pop();
  ASSERT_TRUE(chain);
  ASSERT_EQ(chain->readable().size(), 3U);
  EXPECT_EQ(chain->readable()[0].iov_len, 2U);
  EXPECT_EQ(chain->readable()[1].iov_len, kPage);
  EXPECT_EQ(chain->readable()[2].iov_len, 2U);
  EXPECT_EQ(Gather(*chain).substr(0, 3), "abc");
  queue().Push(std::move(*chain), 0);
}

TEST_P(ChainTest, Row37_WritingWhereOnlyReadingIsAllowedIsDropped) {
  AddPages(tests::Perm::kRead);
  Chain().WritableAt(kPages + kPage, 10).Offer();
  ExpectDropped(ChainError::kAddress);
}

TEST_P(ChainTest, Row37_ReadingWhereOnlyWritingIsAllowedIsDropped) {
  AddPages(tests::Perm::kWrite);
  Chain().ReadableAt(kPages + kPage, 10).Offer();
  ExpectDropped(ChainError::kAddress);
}

TEST_P(ChainTest, Row37_TheSecondOfTwoRegionsForbidsToo) {
  AddPages(tests::Perm::kRead);
  Chain().WritableAt(kPages + kPage - 8, 16).Offer();
  ExpectDropped(ChainError::kAddress);
}

TEST_P(ChainTest, Row38_AReadableSegmentBehindAWritableOneIsDropped) {
  Chain().Writable(8).Readable("late").Offer();
  ExpectDropped(ChainError::kOrder);
}

TEST_P(ChainTest, Row38_InterleavedSegmentsAreDropped) {
  Chain().Readable("a").Writable(8).Readable("b").Writable(8).Offer();
  ExpectDropped(ChainError::kOrder);
}

TEST_P(ChainTest, Row49_DescriptorsThatChangeAfterPopChangeNothing) {
  const uint16_t head = Chain().Readable("before").Writable(8).Build();
  bed.driver.OfferHead(head);
  std::optional<vduse::Chain> chain = queue().Pop();
  ASSERT_TRUE(chain);
  for (uint32_t i = 0; i < 2; ++i) {
    DescOf(head, i) = {.addr = kHole, .len = ~0U, .flags = 7, .next = 0xffff};
  }
  bed.driver.StoreAvail(kAvailRing + (base() & (kSize - 1)), 0xffff);

  EXPECT_EQ(Gather(*chain), "before");
  queue().Push(std::move(*chain), 1000);
  EXPECT_EQ(queue().Publish(), 1U);
  EXPECT_EQ(bed.driver.used_elem(base()).id, head);
  EXPECT_EQ(bed.driver.used_elem(base()).len, 8U);
}

TEST_P(ChainTest, Row49_ADescriptorThatChangesDuringPopIsOneOrTheOther) {
  AddPages();
  const uint16_t head = Chain().ReadableAt(kPages + 2 * kPage, 16).Build();
  std::atomic_ref<uint32_t> len(DescOf(head, 0).len);
  std::atomic<bool> stop = false;
  std::thread driver([&] {
    while (!stop) {
      len = 0xffffffff;
      len = 16;
    }
  });
  for (int i = 0; i < 2000; ++i) {
    bed.driver.OfferHead(head);
    std::optional<vduse::Chain> chain = queue().Pop();
    EXPECT_TRUE(chain);
    if (!chain) break;
    EXPECT_EQ(chain->readable_bytes(), chain->malformed() ? 0U : 16U);
    queue().Push(std::move(*chain), 0);
    queue().Publish();
  }
  stop = true;
  driver.join();
}

TEST_P(ChainTest, Row56_EachOfManyMalformedChainsIsReturnedOnce) {
  for (uint32_t i = 0; i < 10 * kSize; ++i) {
    Chain().ReadableAt(kHole, 1).Offer();
    std::optional<vduse::Chain> chain = queue().Pop();
    ASSERT_TRUE(chain);
    ASSERT_TRUE(chain->malformed());
    queue().Push(std::move(*chain), 99);
    ASSERT_EQ(queue().Publish(), 1U);
    const std::optional<tests::UsedEntry> used = bed.driver.TakeUsed();
    ASSERT_TRUE(used);
    EXPECT_EQ(used->len, 0U);
  }
  EXPECT_EQ(queue().chain_errors()[static_cast<size_t>(ChainError::kAddress)],
            10U * kSize);
  EXPECT_FALSE(queue().broken());
}

TEST_P(ChainTest, Row56_AMalformedChainTakenBackIsReturnedOnce) {
  Chain().ReadableAt(kHole, 1).Offer();
  std::optional<vduse::Chain> chain = queue().Pop();
  queue().Unpop(std::move(*chain));
  ExpectDropped(ChainError::kAddress);
}

}  // namespace
}  // namespace vduse
