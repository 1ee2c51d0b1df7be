// SPDX-License-Identifier: Apache-2.0
//
// Address spaces, which newer kernels give to groups of virtqueues.
#include "net/device/net_device.h"
#include "tests/net/device/net_device_fixture.h"

namespace net {
namespace {

// The control queue's memory in an address space of its own.
class NetDeviceAsidTest : public NetDeviceTest {
 protected:
  // The driver's memory is one: all of it moves.
  void MoveAll(uint32_t asid) {
    device.MoveRegion(tests::DriverMemory::kStart, asid);
  }
};

TEST_F(NetDeviceAsidTest, AGroupsQueuesAreFoundInItsAddressSpace) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  MoveAll(1);
  EXPECT_EQ(Answer(device.SendGroupAsid(kCtrlGroup, 1)), VDUSE_REQ_RESULT_OK);
  EXPECT_EQ(Command(SetAll(1, {6, 60})), Bytes{0});
  EXPECT_EQ(Answer(device.SendGroupAsid(kDataGroup, 1)), VDUSE_REQ_RESULT_OK);
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
}

TEST_F(NetDeviceAsidTest, AnUpdateConcernsItsAddressSpaceAlone) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  const uint64_t lookups = device.lookups();
  EXPECT_EQ(Answer(device.SendIotlbUpdate(0, UINT64_MAX, 1)),
            VDUSE_REQ_RESULT_OK);
  ASSERT_TRUE(Transmits());
  EXPECT_EQ(device.lookups(), lookups) << "nothing had to be looked up anew";
  EXPECT_EQ(Answer(device.SendIotlbUpdate(0, UINT64_MAX, 0)),
            VDUSE_REQ_RESULT_OK);
  ASSERT_TRUE(Transmits());
  EXPECT_GT(device.lookups(), lookups);
}

TEST_F(NetDeviceAsidTest, WhatIsNotThereIsRefusedAndChangesNothing) {
  ASSERT_TRUE(Activate());
  for (const auto& [group, asid] :
       {std::pair{2U, 0U}, {UINT32_MAX, 0U}, {0U, 2U}, {1U, UINT32_MAX}}) {
    EXPECT_EQ(Answer(device.SendGroupAsid(group, asid)),
              VDUSE_REQ_RESULT_FAILED);
  }
  EXPECT_TRUE(Transmits());
}

TEST_F(NetDeviceAsidTest, AResetPutsEveryGroupBackIntoTheFirstAddressSpace) {
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Answer(device.SendGroupAsid(kCtrlGroup, 1)), VDUSE_REQ_RESULT_OK);
  EXPECT_EQ(Answer(device.SendGroupAsid(kDataGroup, 1)), VDUSE_REQ_RESULT_OK);
  ASSERT_EQ(saved->asids, (std::array{1U, 1U}));
  ResetAndRestart();
  EXPECT_EQ(saved->asids, (std::array{0U, 0U})) << "for a successor, too";
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
  EXPECT_EQ(Command(SetAll(1, {6, 60})), Bytes{0});
}

TEST_F(NetDeviceAsidTest, TheAddressSpaceOutlivesTheProcess) {
  EXPECT_EQ(Answer(device.SendGroupAsid(kCtrlGroup, 1)), VDUSE_REQ_RESULT_OK);
  EXPECT_EQ(Answer(device.SendGroupAsid(kDataGroup, 1)), VDUSE_REQ_RESULT_OK);
  MoveAll(1);
  NewNet();
  net->Resume(saved);
  NewTap();
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(Transmits());
  EXPECT_EQ(Command(SetAll(1, {6, 60})), Bytes{0});
}

}  // namespace
}  // namespace net
