// SPDX-License-Identifier: Apache-2.0
//
// Indirect tables, valid and invalid (virtio 1.3, 2.7.5.3), and chains with a
// very large number of segments, which only such tables allow.
#include "tests/vduse/virtqueue_fixture.h"

namespace vduse {
namespace {

class IndirectTest : public VirtqueueTest {
 protected:
  static constexpr uint64_t kPage = 4096;

  tests::ChainBuilder Table() { return bed.driver.Chain().Indirect(); }

  // Offers an indirect chain of `count` one-byte segments.
  uint16_t OfferBytes(uint32_t count) {
    const uint64_t buffer = bed.memory.Allocate(count);
    tests::ChainBuilder chain = Table();
    for (uint32_t i = 0; i < count; ++i) chain.ReadableAt(buffer + i, 1);
    return chain.Offer();
  }
};

INSTANTIATE_TEST_SUITE_P(Rings, IndirectTest, kEveryDirectRing, RingName);

TEST_P(IndirectTest, Row40_ATableIsDroppedWhereTheFeatureIsNotNegotiated) {
  bed.features.indirect = false;
  bed.queue = *bed.Create(Virtqueue::Start::kFresh);
  Table().Readable("x").Offer();
  ExpectDropped(ChainError::kIndirect);
}

TEST_P(IndirectTest, Row41_ATableWithinATableIsDropped) {
  Table()
      .Readable("x")
      .Raw({.addr = bed.memory.Allocate(64),
            .len = 16,
            .flags = kDescIndirect,
            .next = 0})
      .Offer();
  ExpectDropped(ChainError::kIndirect);
}

TEST_P(IndirectTest, Row42_ATableWithANextBehindItIsDropped) {
  const uint16_t head = Table().Readable("x").Build();
  bed.driver.desc(head).flags |= kDescNext;
  bed.driver.desc(head).next = head;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kIndirect);
}

TEST_P(IndirectTest, Row42_TheWriteFlagOfATableIsIgnored) {
  const uint16_t head = Table().Readable("x").Writable(4).Build();
  bed.driver.desc(head).flags |= kDescWrite;
  bed.driver.OfferHead(head);
  std::optional<vduse::Chain> chain = queue().Pop();
  ASSERT_TRUE(chain);
  EXPECT_FALSE(chain->malformed());
  EXPECT_EQ(Gather(*chain), "x");
  EXPECT_EQ(chain->writable_bytes(), 4U);
  queue().Push(std::move(*chain), 0);
}

class TableLengthTest : public IndirectTest {};
INSTANTIATE_TEST_SUITE_P(Rings, TableLengthTest, kEveryDirectRing, RingName);

TEST_P(TableLengthTest, Row43_ATableOfNoBytesIsDropped) {
  const uint16_t head = Table().Readable("x").Build();
  bed.driver.desc(head).len = 0;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kIndirect);
}

TEST_P(TableLengthTest, Row43_ATableThatIsNoMultipleOfSixteenIsDropped) {
  const uint16_t head = Table().Readable("x").Build();
  bed.driver.desc(head).len = 17;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kIndirect);
}

TEST_P(TableLengthTest, Row43_ATableOverTheLimitIsDropped) {
  const uint16_t head = Table().Readable("x").Build();
  bed.driver.desc(head).len = 1025 * 16;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kTooLong);
}

TEST_P(TableLengthTest, Row43_ATableOf65536EntriesIsDropped) {
  const uint16_t head = Table().Readable("x").Build();
  bed.driver.desc(head).len = 65536 * 16;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kTooLong);
}

TEST_P(TableLengthTest, Row43_TheLongestLengthThereIsIsDropped) {
  const uint16_t head = Table().Readable("x").Build();
  bed.driver.desc(head).len = 0xfffffff0;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kTooLong);
}

TEST_P(IndirectTest, Row27_ATableLongerThanTheRingIsTaken) {
  OfferBytes(1000);
  std::optional<vduse::Chain> chain = queue().Pop();
  ASSERT_TRUE(chain);
  EXPECT_FALSE(chain->malformed());
  EXPECT_EQ(chain->readable_bytes(), 1000U);
  EXPECT_EQ(chain->slots(), 1U);
  queue().Push(std::move(*chain), 0);
}

TEST_P(IndirectTest, Row27_DirectAndIndirectTogetherOverTheLimitAreDropped) {
  tests::ChainBuilder chain = bed.driver.Chain();
  chain.Readable("direct").Indirect();
  for (int i = 0; i < 1024; ++i) chain.ReadableAt(kHole, 0);
  chain.Offer();
  ExpectDropped(ChainError::kTooLong);
}

TEST_P(IndirectTest, Row28_MoreSegmentsThanOneWriteTakesAreDropped) {
  OfferBytes(Virtqueue::kMaxSegments + 1);
  ExpectDropped(ChainError::kTooManySegments);
}

TEST_P(IndirectTest, Row28_AsManySegmentsAsOneWriteTakesAreTaken) {
  OfferBytes(Virtqueue::kMaxSegments);
  std::optional<vduse::Chain> chain = queue().Pop();
  ASSERT_TRUE(chain);
  EXPECT_EQ(chain->readable().size(), Virtqueue::kMaxSegments);
  queue().Push(std::move(*chain), 0);
}

TEST_P(IndirectTest, Row28_ABufferCutIntoTooManyPartsByRegionsIsDropped) {
  constexpr uint64_t kMany = 0x40000000;
  constexpr uint32_t kCount = Virtqueue::kMaxSegments + 1;
  for (uint32_t i = 0; i < kCount; ++i) {
    bed.device.AddRegion(kMany + i * kPage, kPage);
  }
  bed.driver.Chain()
      .ReadableAt(kMany, static_cast<uint32_t>(kCount * kPage))
      .Offer();
  ExpectDropped(ChainError::kTooManySegments);
}

TEST_P(IndirectTest, Row28_AChainThatDoesNotFitBesideOthersWaitsForThem) {
  OfferBytes(600);
  OfferBytes(600);
  std::optional<vduse::Chain> first = queue().Pop();
  ASSERT_TRUE(first);
  EXPECT_FALSE(queue().Pop());
  EXPECT_FALSE(queue().broken());

  queue().Push(std::move(*first), 0);

  std::optional<vduse::Chain> second = queue().Pop();
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->malformed());
  EXPECT_EQ(second->readable_bytes(), 600U);
  queue().Push(std::move(*second), 0);
  EXPECT_EQ(queue().Publish(), 2U);
  EXPECT_EQ(bed.driver.DrainUsed(), 2U);
}

// The table's second entry crosses the border of two regions.
TEST_P(IndirectTest, Row44_Row45_ATableMayCrossRegionsInTheMiddleOfAnEntry) {
  constexpr uint64_t kLow = 0x30000000;
  bed.device.AddRegion(kLow, kPage);
  bed.device.AddRegion(kLow + kPage, kPage);
  const uint16_t head = Table().Readable("one").Readable("two").Build();
  Desc& named = bed.driver.desc(head);
  const auto bytes = bed.device.Peek(named.addr, named.len);
  for (const uint64_t cut : {16U, 17U, 21U, 24U, 28U, 31U}) {
    const uint64_t moved = kLow + kPage - cut;
    bed.device.Poke(moved, bytes);
    named.addr = moved;
    bed.driver.OfferHead(head);
    std::optional<vduse::Chain> chain = queue().Pop();
    ASSERT_TRUE(chain);
    EXPECT_EQ(Gather(*chain), "onetwo") << cut;
    queue().Push(std::move(*chain), 0);
    queue().Publish();
  }
}

TEST_P(IndirectTest, Row44_ATableThatEndsInAHoleIsDropped) {
  constexpr uint64_t kLow = 0x30000000;
  bed.device.AddRegion(kLow, kPage);
  const uint16_t head = Table().Readable("one").Readable("two").Build();
  bed.driver.desc(head).addr = kLow + kPage - 24;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kAddress);
}

TEST_P(IndirectTest, Row44_ATableThatMayNotBeReadIsDropped) {
  constexpr uint64_t kLow = 0x30000000;
  bed.device.AddRegion(kLow, kPage, tests::Perm::kWrite);
  const uint16_t head = Table().Readable("one").Build();
  bed.driver.desc(head).addr = kLow;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kAddress);
}

TEST_P(IndirectTest, Row46_ANextAtTheTablesEndIsDropped) {
  const uint16_t head = Table().Readable("a").Readable("b").Build();
  bed.driver.table(head)[0].next = 2;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kDescriptorIndex);
}

TEST_P(IndirectTest, Row46_ALoopInTheTableIsDropped) {
  const uint16_t head =
      Table().Readable("a").Readable("b").Readable("c").Build();
  bed.driver.table(head)[1].next = 0;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kTooLong);
}

TEST_P(IndirectTest, Row46_ALastEntryThatGoesOnIsDropped) {
  const uint16_t head = Table().Readable("a").Readable("b").Build();
  bed.driver.table(head)[1].flags |= kDescNext;
  bed.driver.table(head)[1].next = 2;
  bed.driver.OfferHead(head);
  ExpectDropped(ChainError::kDescriptorIndex);
}

TEST_P(IndirectTest, Row46_ATableMayBeWalkedInAnyOrder) {
  const uint16_t head =
      Table().Readable("a").Readable("b").Readable("c").Build();
  const std::span<Desc> table = bed.driver.table(head);
  table[0].next = 2;
  table[2].flags |= kDescNext;
  table[2].next = 1;
  table[1].flags = 0;
  bed.driver.OfferHead(head);
  std::optional<vduse::Chain> chain = queue().Pop();
  ASSERT_TRUE(chain);
  EXPECT_EQ(Gather(*chain), "acb");
  queue().Push(std::move(*chain), 0);
}

TEST_P(IndirectTest, Row47_DirectDescriptorsMayEndInATable) {
  bed.driver.Chain()
      .Readable("direct ")
      .Indirect()
      .Readable("indirect")
      .Writable(4)
      .Offer();
  std::optional<vduse::Chain> chain = queue().Pop();
  ASSERT_TRUE(chain);
  EXPECT_EQ(Gather(*chain), "direct indirect");
  EXPECT_EQ(chain->writable_bytes(), 4U);
  EXPECT_EQ(chain->slots(), 2U);
  queue().Push(std::move(*chain), 0);
}

TEST_P(IndirectTest, Row38_OrderIsKeptAcrossTheStartOfATable) {
  bed.driver.Chain().Writable(4).Indirect().Readable("late").Offer();
  ExpectDropped(ChainError::kOrder);
}

TEST_P(IndirectTest, Row48_TwoTablesInOneChainAreDropped) {
  const uint64_t table = bed.memory.Allocate(64);
  bed.driver.Chain()
      .Raw({.addr = table, .len = 16, .flags = kDescIndirect, .next = 0})
      .Raw({.addr = table, .len = 16, .flags = kDescIndirect, .next = 0})
      .Offer();
  ExpectDropped(ChainError::kIndirect);
}

}  // namespace
}  // namespace vduse
