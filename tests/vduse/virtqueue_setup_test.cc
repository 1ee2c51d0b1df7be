// SPDX-License-Identifier: Apache-2.0
//
// Where a driver may put its rings, and where it may not.
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "tests/support/fake_device.h"
#include "tests/support/fake_driver.h"
#include "vduse/iova_map.h"
#include "vduse/virtqueue.h"

namespace vduse {
namespace {

using tests::FakeDevice;
using tests::Perm;

class SetupTest : public testing::Test {
 protected:
  static constexpr uint64_t kRings = 0x10000;
  static constexpr uint64_t kRegionBytes = 4 << 20;

  // A queue that can run once its region is mapped.
  static QueueInfo Info(uint32_t size = 8) {
    return {.size = size,
            .desc_addr = kRings,
            .driver_addr = kRings + 0x100000,
            .device_addr = kRings + 0x200000,
            .position = {},
            .ready = true};
  }

  absl::StatusCode Try(const QueueInfo& info,
                       const Virtqueue::Features& features = {
                           .event_idx = true, .indirect = true}) {
    return Virtqueue::Create(info, features, Virtqueue::Start::kFresh, map_)
        .status()
        .code();
  }

  FakeDevice device_;
  IovaMap map_{device_};
};

constexpr absl::StatusCode kOk = absl::StatusCode::kOk;
constexpr absl::StatusCode kNever = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kNotNow = absl::StatusCode::kUnavailable;

TEST_F(SetupTest, Row7_SizesThatAreNoPowerOfTwoOrTooLargeAreRefused) {
  device_.AddRegion(kRings, kRegionBytes);
  for (const uint32_t size :
       {0U, 3U, 6U, 32767U, 32769U, 65535U, 65536U, 0x80000000U, 0xffffffffU}) {
    EXPECT_EQ(Try(Info(size)), kNever) << size;
  }
}

TEST_F(SetupTest, Row7_EveryPowerOfTwoUpToTheLargestRuns) {
  device_.AddRegion(kRings, kRegionBytes);
  for (uint32_t size = 1; size <= kMaxQueueSize; size *= 2) {
    EXPECT_EQ(Try(Info(size)), kOk) << size;
  }
}

TEST_F(SetupTest, Row10_MisalignedAreasAreRefused) {
  device_.AddRegion(kRings, kRegionBytes);
  for (const uint64_t off : {1U, 2U, 4U, 8U}) {
    QueueInfo info = Info();
    info.desc_addr += off;
    EXPECT_EQ(Try(info), kNever) << off;
  }
  QueueInfo info = Info();
  info.driver_addr += 1;
  EXPECT_EQ(Try(info), kNever);
  for (const uint64_t off : {1U, 2U, 3U}) {
    info = Info();
    info.device_addr += off;
    EXPECT_EQ(Try(info), kNever) << off;
  }
}

TEST_F(SetupTest, Row10_TheSmallestAlignmentOfEachAreaIsEnough) {
  device_.AddRegion(kRings, kRegionBytes);
  QueueInfo info = Info();
  info.desc_addr += kDescAlign;
  info.driver_addr += kAvailAlign;
  info.device_addr += kUsedAlign;
  EXPECT_EQ(Try(info), kOk);
}

TEST_F(SetupTest, Row10_ARegionAtAnOddPlaceOfItsFileMisalignsTheRings) {
  device_.AddRegion(kRings, kRegionBytes, Perm::kReadWrite, 4097);
  EXPECT_EQ(Try(Info()), kNotNow);
}

TEST_F(SetupTest, Row11_AreasThatWrapTheAddressSpaceAreRefused) {
  const uint64_t last_page = ~uint64_t{0xfff};
  device_.AddRegion(last_page, 0x1000);
  device_.AddRegion(0, 0x10000);
  device_.AddRegion(kRings, kRegionBytes);
  QueueInfo info = Info(256);
  info.desc_addr = last_page + 16;
  EXPECT_EQ(Try(info), kNever);
  info = Info(256);
  info.driver_addr = ~uint64_t{1};
  EXPECT_EQ(Try(info), kNever);
  info = Info(256);
  info.device_addr = ~uint64_t{3};
  EXPECT_EQ(Try(info), kNever);
}

TEST_F(SetupTest, Row11_AnAreaThatEndsWithTheAddressSpaceRuns) {
  device_.AddRegion(~uint64_t{0xfff}, 0x1000);
  device_.AddRegion(kRings, kRegionBytes);
  QueueInfo info = Info(256);
  info.desc_addr = ~uint64_t{0xfff};
  EXPECT_EQ(Try(info), kOk);
}

TEST_F(SetupTest, Row13_AnAreaThatIsNotMappedKeepsTheQueueDown) {
  EXPECT_EQ(Try(Info()), kNotNow);
  device_.AddRegion(kRings, kRegionBytes);
  EXPECT_EQ(Try(Info()), kOk);
  for (uint64_t QueueInfo::*area :
       {&QueueInfo::desc_addr, &QueueInfo::driver_addr,
        &QueueInfo::device_addr}) {
    QueueInfo info = Info();
    info.*area = kRings + kRegionBytes;
    EXPECT_EQ(Try(info), kNotNow);
  }
}

TEST_F(SetupTest, Row13_AnAreaThatCrossesTwoRegionsKeepsTheQueueDown) {
  device_.AddRegion(kRings, kRegionBytes);
  device_.AddRegion(kRings + kRegionBytes, 0x10000);
  for (uint64_t QueueInfo::*area :
       {&QueueInfo::desc_addr, &QueueInfo::driver_addr,
        &QueueInfo::device_addr}) {
    QueueInfo info = Info(256);
    info.*area = kRings + kRegionBytes - 16;
    EXPECT_EQ(Try(info), kNotNow);
  }
}

TEST_F(SetupTest, Row13_TheEventWordMustBeMappedOnlyWhenNegotiated) {
  device_.AddRegion(kRings, kRegionBytes);
  QueueInfo info = Info();
  info.device_addr = kRings + kRegionBytes - UsedBytes(8, false);
  EXPECT_EQ(Try(info, {.event_idx = false, .indirect = true}), kOk);
  EXPECT_EQ(Try(info, {.event_idx = true, .indirect = true}), kNotNow);
}

TEST_F(SetupTest, Row13_AUsedRingThatMayNotBeWrittenKeepsTheQueueDown) {
  device_.AddRegion(kRings, 0x200000);
  device_.AddRegion(kRings + 0x200000, 0x10000, Perm::kRead);
  EXPECT_EQ(Try(Info()), kNotNow);
}

TEST_F(SetupTest, Row13_RingsThatMayNotBeReadKeepTheQueueDown) {
  device_.AddRegion(kRings, kRegionBytes, Perm::kWrite);
  EXPECT_EQ(Try(Info()), kNotNow);
}

TEST_F(SetupTest, Row13_EachAreaNeedsNoMoreAccessThanItsUse) {
  device_.AddRegion(kRings, 0x200000, Perm::kRead);
  device_.AddRegion(kRings + 0x200000, 0x10000, Perm::kReadWrite);
  EXPECT_EQ(Try(Info()), kOk);
}

TEST_F(SetupTest, Row12_RingsOnTopOfEachOtherHarmOnlyTheirDriver) {
  uint8_t* memory = device_.AddRegion(kRings, kRegionBytes);
  auto* words = reinterpret_cast<uint16_t*>(memory);
  QueueInfo info = Info();
  info.driver_addr = info.desc_addr;
  info.device_addr = info.desc_addr;
  Virtqueue queue =
      *Virtqueue::Create(info, {.event_idx = true, .indirect = true},
                         Virtqueue::Start::kFresh, map_);
  for (uint32_t word = 0; word < 128; ++word) {
    words[word] = static_cast<uint16_t>(word % 5);
  }
  for (int step = 0; step < 100 && !queue.broken(); ++step) {
    std::optional<Chain> chain = queue.Pop();
    if (chain) queue.Push(std::move(*chain), 0);
    queue.Publish();
    (void)queue.NotificationWanted();
    (void)queue.EnableKicks();
  }
  EXPECT_EQ(device_.injects(0), 0U);
}

}  // namespace
}  // namespace vduse
