// SPDX-License-Identifier: Apache-2.0
#include "vduse/region_cache.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <deque>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/fake_device.h"
#include "tests/vduse/scripted_device.h"
#include "vduse/iova_map.h"

namespace vduse {
namespace {

// Has, at every address, a region of 2 MiB in a file of its own, like a VMM
// that uses one file for each huge page.
class FilePerRegion : public tests::FakeDevice {
 public:
  static constexpr uint64_t kBytes = 2 << 20;
  absl::StatusOr<IotlbRegion> LookupIotlb(uint32_t, uint64_t iova) override {
    ++asked;
    const uint64_t start = iova & ~(kBytes - 1);
    base::UniqueFd file(memfd_create("one of many", MFD_CLOEXEC));
    if (ftruncate(file.get(), kBytes) != 0) return absl::InternalError("");
    return IotlbRegion{.fd = std::move(file),
                       .offset = 0,
                       .start = start,
                       .last = start + kBytes - 1,
                       .readable = true,
                       .writable = true};
  }
  uint64_t asked = 0;
};

TEST(RegionCacheTest, Row121_SeventeenMapsShare64GiBInPiecesOf2MiB) {
  constexpr uint64_t kRegions = 32768;
  uint64_t allowed = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> allowed;
  if (allowed < 65530) GTEST_SKIP() << "vm.max_map_count is " << allowed;
  const size_t before = Mapping::live();
  FilePerRegion device;
  std::deque<IovaMap> maps;
  for (int i = 0; i < 17; ++i) maps.emplace_back(device);
  const auto use_all = [&] {
    for (IovaMap& map : maps) {
      EXPECT_FALSE(map.Trim());
      for (uint64_t i = 0; i < kRegions; ++i) {
        // Scattered: 40503 is odd, so each region is used once.
        const uint64_t region = i * 40503 % kRegions;
        ASSERT_NE(
            map.Find(region * FilePerRegion::kBytes, 1, Access::kWrite).data,
            nullptr)
            << region;
      }
    }
  };
  use_all();
  EXPECT_EQ(device.asked, kRegions);
  EXPECT_EQ(Mapping::live(), before + kRegions);
  use_all();
  EXPECT_EQ(device.asked, kRegions);
  maps.clear();
  EXPECT_EQ(Mapping::live(), before);
}

TEST(RegionCacheTest, Row121_TheLeastUsedGoWhereThereAreTooManyMappings) {
  FilePerRegion device;
  IovaMap map(device);
  device.regions().SetLimit(Mapping::live() + 64);
  std::vector<uint8_t*> hot(8);
  const auto address = [](uint64_t i) { return i * FilePerRegion::kBytes; };
  for (uint64_t i = 0; i < hot.size(); ++i) {
    hot[i] = map.Find(address(i), 1, Access::kRead).data;
  }
  for (uint64_t cold = hot.size(); cold < 1000; ++cold) {
    map.Trim();
    for (uint64_t i = 0; i < hot.size(); ++i) {
      ASSERT_EQ(map.Find(address(i), 1, Access::kRead).data, hot[i]);
    }
    ASSERT_NE(map.Find(address(cold), 1, Access::kRead).data, nullptr) << cold;
  }
  EXPECT_EQ(device.asked, 1000U);
  EXPECT_GT(map.region_count(), 24U);  // each Trim() drops only some
}

TEST(RegionCacheTest, Row121_OnesThatDoNotFitAreUnmappedNowAndFoundLater) {
  FilePerRegion device;
  IovaMap map(device);
  device.regions().SetLimit(Mapping::live() + 16);
  uint64_t i = 0;
  while (map.Find(i * FilePerRegion::kBytes, 1, Access::kRead).data) ++i;
  EXPECT_EQ(i, 16U);
  EXPECT_TRUE(map.Trim());
  EXPECT_NE(map.Find(i * FilePerRegion::kBytes, 1, Access::kRead).data,
            nullptr);
}

TEST(RegionCacheTest, RegionsOfOneFileAreOneMapping) {
  ScriptedDevice device;
  ASSERT_EQ(ftruncate(device.file.get(), 100 * kPage), 0);
  IovaMap map(device);
  const size_t before = Mapping::live();
  for (uint64_t i = 0; i < 100; ++i) {
    device.offset = i * kPage;
    device.start = kBase + 2 * i * kPage;
    device.last = device.start + kPage - 1;
    ASSERT_NE(map.Find(device.start, 1, Access::kRead).data, nullptr);
  }
  EXPECT_EQ(map.region_count(), 100U);
  EXPECT_EQ(Mapping::live(), before + 1);
}

TEST(RegionCacheTest, AFileThatHasGrownIsMappedAnew) {
  ScriptedDevice device;
  ASSERT_EQ(ftruncate(device.file.get(), kPage), 0);
  IovaMap map(device);
  ASSERT_NE(map.Find(kBase, 1, Access::kRead).data, nullptr);
  ASSERT_EQ(ftruncate(device.file.get(), 3 * kPage), 0);
  device.offset = 2 * kPage;
  device.start = kBase + kPage;
  device.last = device.start + kPage - 1;
  uint8_t* byte = map.Find(device.start, 1, Access::kWrite).data;
  ASSERT_NE(byte, nullptr);
  *byte = 'g';
  uint8_t seen = 0;
  ASSERT_EQ(pread(device.file.get(), &seen, 1, 2 * kPage), 1);
  EXPECT_EQ(seen, 'g');
}

TEST(RegionCacheTest, AFileTooLargeToMapIsMappedInPart) {
  ScriptedDevice device;
  ASSERT_EQ(ftruncate(device.file.get(), int64_t{1} << 60), 0);
  IovaMap map(device);
  EXPECT_NE(map.Find(kBase, 1, Access::kWrite).data, nullptr);
}

TEST(RegionCacheTest, Row118_WhatOneMapDropsIsAskedForAgainByAll) {
  tests::FakeDevice device;
  *device.AddRegion(kBase, kPage) = 'o';
  IovaMap one(device);
  IovaMap other(device);
  ASSERT_EQ(*one.Find(kBase, 1, Access::kRead).data, 'o');
  device.RemoveRegion(kBase);
  *device.AddRegion(kBase, kPage) = 'n';
  one.DropAll();
  EXPECT_EQ(*other.Find(kBase, 1, Access::kRead).data, 'n');
}

TEST(RegionCacheTest, AddressSpacesAreKeptApart) {
  tests::FakeDevice device;
  *device.AddRegion(kBase, kPage) = '0';
  IovaMap zero(device);
  ASSERT_EQ(*zero.Find(kBase, 1, Access::kRead).data, '0');
  IovaMap one(device);
  one.SetAsid(1);
  EXPECT_EQ(one.Find(kBase, 1, Access::kRead).data, nullptr);
}

TEST(RegionCacheTest, AMappingOfReadOnlyMemoryCannotBeWritten) {
  tests::FakeDevice device;
  device.AddRegion(kBase, kPage, tests::Perm::kRead);
  IovaMap map(device);
  uint8_t* byte = map.Find(kBase, 1, Access::kRead).data;
  ASSERT_NE(byte, nullptr);
  EXPECT_DEATH(*const_cast<volatile uint8_t*>(byte) = 1, "");
}

}  // namespace
}  // namespace vduse
