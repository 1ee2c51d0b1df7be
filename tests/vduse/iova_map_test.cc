// SPDX-License-Identifier: Apache-2.0
#include "vduse/iova_map.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/fake_device.h"
#include "tests/vduse/scripted_device.h"

namespace vduse {
namespace {

using tests::FakeDevice;
using tests::Perm;

constexpr uint64_t kEnd = UINT64_MAX;

class IovaMapTest : public testing::Test {
 protected:
  // Adds `count` adjacent regions of one page each.
  void AddPages(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      device_.AddRegion(kBase + i * kPage, kPage);
    }
  }
  bool Readable(uint64_t iova) {
    return map_.Find(iova, 1, Access::kRead).data != nullptr;
  }

  FakeDevice device_;
  IovaMap map_{device_};
};

size_t OpenFds() {
  const std::filesystem::directory_iterator fds("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(fds), end(fds)));
}

TEST_F(IovaMapTest, TheDriversBytesAreSeenAndChanged) {
  uint8_t* memory = device_.AddRegion(kBase, kPage);
  std::ranges::copy(std::string_view("hello"), memory + 100);

  const IovaMap::Piece piece = map_.Find(kBase + 100, 5, Access::kWrite);

  ASSERT_EQ(piece.size, 5U);
  EXPECT_EQ(std::memcmp(piece.data, "hello", 5), 0);
  piece.data[0] = 'j';
  EXPECT_EQ(memory[100], 'j');
}

TEST_F(IovaMapTest, ARegionIsAskedForOnce) {
  device_.AddRegion(kBase, 16 * kPage);
  for (uint64_t i = 0; i < 16; ++i) EXPECT_TRUE(Readable(kBase + i * kPage));
  EXPECT_EQ(device_.lookups(), 1U);
  EXPECT_EQ(map_.region_count(), 1U);
}

TEST_F(IovaMapTest, RegionsAreFoundInWhateverOrderTheyWereLoaded) {
  AddPages(8);
  for (const uint64_t i : {5U, 1U, 7U, 0U, 3U, 2U, 6U, 4U}) {
    EXPECT_TRUE(Readable(kBase + i * kPage)) << i;
  }
  for (uint64_t i = 0; i < 8; ++i) EXPECT_TRUE(Readable(kBase + i * kPage));
  EXPECT_EQ(device_.lookups(), 8U);
}

TEST_F(IovaMapTest, APieceEndsWithItsRegion) {
  AddPages(2);
  EXPECT_EQ(map_.Find(kBase + 10, 2 * kPage, Access::kRead).size, kPage - 10);
  EXPECT_EQ(map_.Find(kBase + 10, kPage - 10, Access::kRead).size, kPage - 10);
  EXPECT_EQ(map_.Find(kBase + 10, kEnd, Access::kRead).size, kPage - 10);
}

TEST_F(IovaMapTest, FindWholeIsAllOrNothing) {
  AddPages(2);
  EXPECT_NE(map_.FindWhole(kBase, kPage, Access::kRead), nullptr);
  EXPECT_EQ(map_.FindWhole(kBase, kPage + 1, Access::kRead), nullptr);
  EXPECT_EQ(map_.FindWhole(kBase, 0, Access::kRead), nullptr);
  EXPECT_EQ(map_.FindWhole(kBase + 1, kEnd, Access::kRead), nullptr);
}

TEST_F(IovaMapTest, CopyInCrossesRegions) {
  AddPages(3);
  std::vector<uint8_t> sent(kPage + 20);
  std::iota(sent.begin(), sent.end(), uint8_t{0});
  device_.Poke(kBase + kPage - 10, sent);
  std::vector<uint8_t> got(sent.size());
  EXPECT_TRUE(map_.CopyIn(kBase + kPage - 10, got.data(), got.size()));
  EXPECT_EQ(got, sent);
}

TEST_F(IovaMapTest, CopyInFailsWhereAByteIsMissing) {
  AddPages(1);
  std::vector<uint8_t> got(20);
  EXPECT_FALSE(map_.CopyIn(kBase + kPage - 10, got.data(), got.size()));
  EXPECT_FALSE(map_.CopyIn(kEnd - 5, got.data(), got.size()));
  EXPECT_TRUE(map_.CopyIn(kEnd - 5, got.data(), 0));
}

TEST_F(IovaMapTest, Row34_AnAnswerThatDoesNotHoldTheAddressIsNotUsed) {
  ScriptedDevice device;
  IovaMap map(device);
  EXPECT_EQ(map.Find(kBase - 1, 1, Access::kRead).data, nullptr);
  EXPECT_EQ(map.Find(kBase + kPage, 1, Access::kRead).data, nullptr);
  EXPECT_EQ(map.region_count(), 0U);
  EXPECT_NE(map.Find(kBase, 1, Access::kRead).data, nullptr);
}

TEST_F(IovaMapTest, Row37_EachAccessNeedsItsPermission) {
  device_.AddRegion(kBase, kPage, Perm::kRead);
  device_.AddRegion(kBase + kPage, kPage, Perm::kWrite);
  EXPECT_NE(map_.Find(kBase, 1, Access::kRead).data, nullptr);
  EXPECT_EQ(map_.Find(kBase, 1, Access::kWrite).data, nullptr);
  EXPECT_EQ(map_.Find(kBase + kPage, 1, Access::kRead).data, nullptr);
  EXPECT_NE(map_.Find(kBase + kPage, 1, Access::kWrite).data, nullptr);
}

TEST_F(IovaMapTest, Row118_ADroppedRegionIsAskedForAgain) {
  device_.AddRegion(kBase, kPage);
  ASSERT_TRUE(Readable(kBase));
  device_.RemoveRegion(kBase);
  EXPECT_TRUE(Readable(kBase));  // until the update arrives

  map_.Drop(kBase, kBase + kPage - 1);

  EXPECT_FALSE(Readable(kBase));
  EXPECT_EQ(map_.region_count(), 0U);
}

TEST_F(IovaMapTest, Row119_TheWholeAddressSpaceIsDropped) {
  device_.AddRegion(0, kPage);
  device_.AddRegion(kBase, kPage);
  device_.AddRegion(kEnd - (kPage - 1), kPage);
  ASSERT_TRUE(Readable(0));
  ASSERT_TRUE(Readable(kBase));
  ASSERT_TRUE(Readable(kEnd));
  ASSERT_EQ(map_.region_count(), 3U);

  map_.Drop(0, kEnd);

  EXPECT_EQ(map_.region_count(), 0U);
}

TEST_F(IovaMapTest, Row119_TheLastByteThereIsCanBeReached) {
  device_.AddRegion(kEnd - (kPage - 1), kPage);
  EXPECT_EQ(map_.Find(kEnd, 1, Access::kRead).size, 1U);
  EXPECT_EQ(map_.Find(kEnd - 9, 100, Access::kRead).size, 10U);
  EXPECT_EQ(map_.FindWhole(kEnd - 9, 11, Access::kRead), nullptr);
}

TEST_F(IovaMapTest, Row120_EveryRegionThatOverlapsIsDroppedAndNoOther) {
  AddPages(6);
  for (uint64_t i = 0; i < 6; ++i) ASSERT_TRUE(Readable(kBase + i * kPage));

  // From the last byte of page 1 to the first byte of page 3.
  map_.Drop(kBase + 2 * kPage - 1, kBase + 3 * kPage);

  EXPECT_EQ(map_.region_count(), 3U);
  const uint64_t lookups = device_.lookups();
  for (const uint64_t i : {0U, 4U, 5U}) {
    EXPECT_TRUE(Readable(kBase + i * kPage));
  }
  EXPECT_EQ(device_.lookups(), lookups);
}

TEST_F(IovaMapTest, Row120_ADropBesideARegionLeavesIt) {
  device_.AddRegion(kBase, kPage);
  ASSERT_TRUE(Readable(kBase));
  map_.Drop(0, kBase - 1);
  map_.Drop(kBase + kPage, kEnd);
  EXPECT_EQ(map_.region_count(), 1U);
}

TEST_F(IovaMapTest, Row120_ARangeThatEndsBeforeItBeginsDropsNothing) {
  AddPages(2);
  for (uint64_t i = 0; i < 2; ++i) ASSERT_TRUE(Readable(kBase + i * kPage));

  map_.Drop(kBase + kPage, kBase);
  map_.Drop(kEnd, 0);

  EXPECT_EQ(map_.region_count(), 2U);
}

TEST_F(IovaMapTest, Row120_ARemapThatOverlapsWaitsForItsUpdate) {
  uint8_t* old_memory = device_.AddRegion(kBase, kPage);
  ASSERT_TRUE(Readable(kBase));
  device_.RemoveRegion(kBase);
  device_.AddRegion(kBase, 2 * kPage)[0] = 'n';
  old_memory[0] = 'o';

  EXPECT_FALSE(Readable(kBase + kPage));
  EXPECT_EQ(*map_.Find(kBase, 1, Access::kRead).data, 'o');
  map_.Drop(kBase, kBase);

  EXPECT_TRUE(Readable(kBase + kPage));
  EXPECT_EQ(*map_.Find(kBase, 1, Access::kRead).data, 'n');
}

TEST_F(IovaMapTest, Row122_AFailedLookUpIsUnmappedNowAndTriedAgainLater) {
  device_.AddRegion(kBase, kPage);
  device_.FailLookups(2, absl::ResourceExhaustedError("EMFILE"));
  EXPECT_FALSE(Readable(kBase));
  EXPECT_FALSE(Readable(kBase));
  EXPECT_TRUE(Readable(kBase));
}

TEST_F(IovaMapTest, Row122_AFileThatCannotBeMappedIsUnmapped) {
  ScriptedDevice device;
  device.file = base::UniqueFd(eventfd(0, EFD_CLOEXEC));  // cannot be mapped
  IovaMap map(device);
  EXPECT_EQ(map.Find(kBase, 1, Access::kRead).data, nullptr);
  EXPECT_EQ(map.region_count(), 0U);
}

TEST_F(IovaMapTest, Row123_ARegionIsFoundAtItsPlaceInTheFile) {
  for (const uint64_t offset : {kPage, uint64_t{512}, kPage + 8}) {
    FakeDevice device;
    IovaMap map(device);
    uint8_t* memory =
        device.AddRegion(kBase, 2 * kPage, Perm::kReadWrite, offset);
    memory[0] = 'f';
    memory[2 * kPage - 1] = 'l';
    EXPECT_EQ(*map.Find(kBase, 1, Access::kRead).data, 'f');
    EXPECT_EQ(*map.Find(kBase + 2 * kPage - 1, 9, Access::kRead).data, 'l');
  }
}

TEST_F(IovaMapTest, Row123_AnOffsetThatOverflowsIsUnmapped) {
  ScriptedDevice device;
  IovaMap map(device);
  for (const uint64_t offset : {kEnd, kEnd - kPage, uint64_t{INT64_MAX},
                                uint64_t{INT64_MAX} - kPage + 1}) {
    device.offset = offset;
    EXPECT_EQ(map.Find(kBase, 1, Access::kRead).data, nullptr) << offset;
  }
}

TEST_F(IovaMapTest, Row123_ARegionAsLongAsTheAddressSpaceIsUnmapped) {
  ScriptedDevice device;
  IovaMap map(device);
  device.start = 0;
  device.last = kEnd;
  EXPECT_EQ(map.Find(kBase, 1, Access::kRead).data, nullptr);
}

TEST_F(IovaMapTest, Row125_AtAResetEveryMappingGoes) {
  uint8_t* before = device_.AddRegion(kBase, kPage);
  *before = 'b';
  ASSERT_TRUE(Readable(kBase));
  device_.RemoveRegion(kBase);
  *device_.AddRegion(kBase, kPage) = 'a';

  map_.DropAll();

  EXPECT_EQ(*map_.Find(kBase, 1, Access::kRead).data, 'a');
}

TEST_F(IovaMapTest, Row126_ChurnLeavesNoFilesOpen) {
  AddPages(4);
  const size_t before = OpenFds();
  for (int i = 0; i < 10000; ++i) {
    const uint64_t iova = kBase + static_cast<uint64_t>(i % 4) * kPage;
    ASSERT_TRUE(Readable(iova));
    map_.Drop(iova, iova);
  }
  EXPECT_EQ(OpenFds(), before);
  EXPECT_EQ(map_.region_count(), 0U);
}

TEST_F(IovaMapTest, Row126_FailuresLeaveNoFilesOpen) {
  ScriptedDevice device;
  device.file = base::UniqueFd(eventfd(0, EFD_CLOEXEC));
  IovaMap map(device);
  const size_t before = OpenFds();
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(map.Find(kBase, 1, Access::kRead).data, nullptr);
  }
  EXPECT_EQ(OpenFds(), before);
}

TEST_F(IovaMapTest, Row127_PointersStayGoodWhileMoreRegionsAreLoaded) {
  AddPages(300);
  uint8_t* first = map_.Find(kBase, 1, Access::kWrite).data;
  for (uint64_t i = 299; i > 0; --i) ASSERT_TRUE(Readable(kBase + i * kPage));
  *first = 'x';
  EXPECT_EQ(device_.Peek(kBase, 1)[0], 'x');
}

}  // namespace
}  // namespace vduse
