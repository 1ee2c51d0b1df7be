// SPDX-License-Identifier: Apache-2.0
#include "vduse/sigbus_guard.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fake_device.h"
#include "vduse/iova_map.h"

namespace vduse {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kBase = 0x100000;

class SigbusGuardTest : public testing::Test {
 protected:
  SigbusGuardTest() {
    SigbusGuard::Install();
    (void)SigbusGuard::TakePoisoned();  // from an earlier test
  }
  ~SigbusGuardTest() override { (void)SigbusGuard::TakePoisoned(); }

  static bool Poisoned(IovaMap& map) {
    return map.TakeFault().find("no pages") != std::string::npos;
  }

  // Adds a region of four pages whose file has only the first.
  void AddTruncated(uint64_t iova) {
    device_.AddRegion(iova, 4 * kPage)[0] = 'k';
    ASSERT_EQ(ftruncate(device_.RegionFd(iova), kPage), 0);
  }
  volatile uint8_t* At(IovaMap& map, uint64_t iova) {
    return map.Find(iova, 1, Access::kWrite).data;
  }

  tests::FakeDevice device_;
  IovaMap map_{device_};
};

TEST_F(SigbusGuardTest, Row124_ReadingWhereNoPageIsGivesZero) {
  AddTruncated(kBase);
  EXPECT_EQ(*At(map_, kBase + kPage + 5), 0);
  EXPECT_TRUE(Poisoned(map_));
}

TEST_F(SigbusGuardTest, Row124_WritingWhereNoPageIsGoesOn) {
  AddTruncated(kBase);
  *At(map_, kBase + 3 * kPage) = 'w';
  EXPECT_EQ(*At(map_, kBase + 3 * kPage), 'w');
  EXPECT_TRUE(Poisoned(map_));
}

TEST_F(SigbusGuardTest, Row124_PagesThatAreThereKeepTheirBytes) {
  AddTruncated(kBase);
  *At(map_, kBase + kPage) = 1;
  EXPECT_EQ(*At(map_, kBase), 'k');
}

TEST_F(SigbusGuardTest, Row124_TheMarkIsTakenOnce) {
  AddTruncated(kBase);
  EXPECT_FALSE(Poisoned(map_));
  *At(map_, kBase + kPage) = 1;
  *At(map_, kBase + 2 * kPage) = 1;
  EXPECT_TRUE(Poisoned(map_));
  EXPECT_FALSE(Poisoned(map_));
  *At(map_, kBase + 3 * kPage) = 1;
  EXPECT_TRUE(Poisoned(map_));
}

TEST_F(SigbusGuardTest, Row124_OnlyTheThreadConcernedIsMarked) {
  AddTruncated(kBase);
  std::thread([&] {
    IovaMap other(device_);
    *At(other, kBase + kPage) = 1;
    EXPECT_TRUE(Poisoned(other));
  }).join();
  EXPECT_EQ(*At(map_, kBase), 'k');
  EXPECT_FALSE(Poisoned(map_));
}

TEST_F(SigbusGuardTest, Row124_WhoeverUsesTheMissingPageNextIsMarkedToo) {
  AddTruncated(kBase);
  EXPECT_EQ(*At(map_, kBase), 'k');
  std::thread([&] {
    IovaMap other(device_);
    *At(other, kBase + kPage) = 1;
  }).join();

  EXPECT_TRUE(map_.Trim());  // as before each step

  EXPECT_EQ(*At(map_, kBase), 'k');
  EXPECT_FALSE(Poisoned(map_));
  EXPECT_EQ(*At(map_, kBase + kPage), 0);  // not what the other thread wrote
  EXPECT_TRUE(Poisoned(map_));
}

TEST_F(SigbusGuardTest, Row124_EveryPoisonIsCounted) {
  AddTruncated(kBase);
  const uint64_t before = SigbusGuard::poison_count();
  *At(map_, kBase + kPage) = 1;
  *At(map_, kBase + kPage + 1) = 1;
  *At(map_, kBase + 2 * kPage) = 1;
  EXPECT_EQ(SigbusGuard::poison_count(), before + 2);
}

TEST_F(SigbusGuardTest, Row124_AfterADropTheDriversPagesAreSeenAgain) {
  AddTruncated(kBase);
  *At(map_, kBase + kPage) = 'z';
  ASSERT_EQ(ftruncate(device_.RegionFd(kBase), 4 * kPage), 0);
  map_.DropAll();
  EXPECT_EQ(*At(map_, kBase + kPage), 0);
  EXPECT_FALSE(Poisoned(map_));
}

using SigbusGuardDeathTest = SigbusGuardTest;

TEST_F(SigbusGuardDeathTest, AFaultOneByteBehindAMappingKills) {
  uint8_t* memory = device_.AddRegion(kBase, 2 * kPage);
  ASSERT_EQ(ftruncate(device_.RegionFd(kBase), kPage), 0);
  SigbusGuard::Slot& slot = SigbusGuard::Register(memory, kPage, kPage);
  volatile uint8_t* byte = memory + kPage;
  EXPECT_EXIT(*byte = 1, testing::KilledBySignal(SIGBUS), "");
  SigbusGuard::Unregister(slot);
}

TEST_F(SigbusGuardDeathTest, AnUnregisteredMappingIsNotGuarded) {
  uint8_t* memory = device_.AddRegion(kBase, 2 * kPage);
  ASSERT_EQ(ftruncate(device_.RegionFd(kBase), kPage), 0);
  SigbusGuard::Slot& slot = SigbusGuard::Register(memory, 2 * kPage, kPage);
  SigbusGuard::Unregister(slot);
  volatile uint8_t* byte = memory + kPage;
  EXPECT_EXIT(*byte = 1, testing::KilledBySignal(SIGBUS), "");
}

TEST_F(SigbusGuardTest, AnyNumberOfMappingsIsGuarded) {
  static uint8_t somewhere[16];
  std::vector<SigbusGuard::Slot*> slots(40000);
  for (SigbusGuard::Slot*& slot : slots) {
    slot = &SigbusGuard::Register(somewhere, 16, 16);
  }
  AddTruncated(kBase);
  *At(map_, kBase + kPage) = 'w';
  EXPECT_TRUE(Poisoned(map_));
  for (SigbusGuard::Slot* slot : slots) SigbusGuard::Unregister(*slot);
}

}  // namespace
}  // namespace vduse
