// SPDX-License-Identifier: Apache-2.0
#include "daemon/bounce_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "daemon/device_setup.h"
#include "net/wire/features.h"

namespace program {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kDefault = 64 * kMiB;

Rings RingsOf(uint32_t pairs, uint32_t size) {
  return {.queue_pairs = pairs,
          .queue_size = size,
          .features = FeaturesFor(pairs),
          .mtu = 1500};
}
Rings Without(Rings rings, unsigned feature) {
  rings.features = net::Without(rings.features, net::Bit(feature));
  return rings;
}

class BounceMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    if (sysconf(_SC_PAGESIZE) != 4096) GTEST_SKIP() << "figures for 4 KiB";
    directory_ = testing::TempDir() + "/bounce." + std::to_string(getpid());
    std::filesystem::create_directory(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void Set(uint64_t bytes) {
    std::ofstream(directory_ + "/bounce_size") << bytes << "\n";
  }
  uint64_t Get() const {
    uint64_t bytes = 0;
    std::ifstream(directory_ + "/bounce_size") >> bytes;
    return bytes;
  }
  std::string directory_;
};

TEST_F(BounceMemoryTest, UsualRingsFitIntoTheDefault) {
  EXPECT_LE(BounceNeedOf(RingsOf(1, 256)).full, kDefault);
  EXPECT_LE(BounceNeedOf(RingsOf(1, 1024)).full, kDefault);
  EXPECT_LE(BounceNeedOf(RingsOf(16, 256)).full, kDefault);
}

TEST_F(BounceMemoryTest, LargeRingsTakeAPageForEachReceiveBuffer) {
  const BounceNeed need = BounceNeedOf(RingsOf(1, 32768));
  EXPECT_EQ(need.least, 128 * kMiB + 16 * kMiB);
  EXPECT_EQ(need.full, 3 * 128 * kMiB + 16 * kMiB);
  EXPECT_EQ(BounceNeedOf(RingsOf(4, 32768)).least, 528 * kMiB);
}

TEST_F(BounceMemoryTest, WithoutMergeableBuffersOneIsAsLargeAsAPacketCanBe) {
  const Rings big = Without(RingsOf(1, 1024), net::kFeatureMrgRxbuf);
  EXPECT_EQ(BounceNeedOf(big).least, 80 * kMiB + 16 * kMiB);
  // Where no tables are offered, a buffer takes many descriptors.
  EXPECT_EQ(BounceNeedOf(Without(big, net::kFeatureIndirectDesc)).least,
            4 * kMiB + 16 * kMiB);
  Rings jumbo = big;
  jumbo.features = net::Without(big.features, net::kGuestOffloads);
  EXPECT_EQ(BounceNeedOf(jumbo).least, 4 * kMiB + 16 * kMiB);
  jumbo.mtu = 9000;
  EXPECT_EQ(BounceNeedOf(jumbo).least, 24 * kMiB + 16 * kMiB);
}

TEST_F(BounceMemoryTest, WhatIsNeededIsWritten) {
  Set(kDefault);
  ASSERT_TRUE(ProvideBounceMemory(directory_, RingsOf(1, 32768)).ok());
  EXPECT_EQ(Get(), 400 * kMiB);
  ASSERT_TRUE(ProvideBounceMemory(directory_, RingsOf(4, 32768)).ok());
  EXPECT_EQ(Get(), kMaxBounceBytes);
}

TEST_F(BounceMemoryTest, WhatSufficesIsLeft) {
  Set(kDefault);
  ASSERT_TRUE(ProvideBounceMemory(directory_, RingsOf(1, 256)).ok());
  EXPECT_EQ(Get(), kDefault);
  Set(512 * kMiB);
  ASSERT_TRUE(ProvideBounceMemory(directory_, RingsOf(1, 32768)).ok());
  EXPECT_EQ(Get(), 512 * kMiB);
}

TEST_F(BounceMemoryTest, WhereItCannotBeRaisedItIsAnErrorOnlyIfNothingWorks) {
  // There is no such file.
  EXPECT_TRUE(ProvideBounceMemory(directory_, RingsOf(1, 256)).ok());
  EXPECT_TRUE(ProvideBounceMemory(directory_, RingsOf(1, 8192)).ok());
  const absl::Status status =
      ProvideBounceMemory(directory_, RingsOf(1, 32768));
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_NE(status.message().find("bounce_size must be raised from 64 to 400"),
            std::string::npos)
      << status;
}

TEST_F(BounceMemoryTest, MoreThanThereCanBeIsRefused) {
  EXPECT_TRUE(CheckRings(RingsOf(7, 32768)).ok());
  const absl::Status status = CheckRings(RingsOf(8, 32768));
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(status.message().find("8 queue pairs with --queue-size 32768"),
            std::string::npos)
      << status;
  EXPECT_FALSE(
      CheckRings(Without(RingsOf(1, 16384), net::kFeatureMrgRxbuf)).ok());
}

TEST_F(BounceMemoryTest, OptionsAreJudgedByWhatTheyLeaveOut) {
  RunOptions options;
  EXPECT_TRUE(CheckRings(options).ok());
  options.queue_size = 16384;
  EXPECT_TRUE(CheckRings(options).ok());
  options.without = net::Bit(net::kFeatureMrgRxbuf);
  EXPECT_FALSE(CheckRings(options).ok());
}

}  // namespace
}  // namespace program
