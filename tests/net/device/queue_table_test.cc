// SPDX-License-Identifier: Apache-2.0
#include "net/device/queue_table.h"

#include <gtest/gtest.h>

#include "net/wire/features.h"

namespace net {
namespace {

using ControlQueue = QueueTable::ControlQueue;
using State = QueueTable::State;
using Positions = std::vector<QueuePosition>;

constexpr uint32_t kPairs = 3;

TEST(QueueTableTest, TheControlQueueIsTheLastForADriverWithMq) {
  QueueTable queues(kPairs, ControlQueue::kPresent);
  ASSERT_EQ(queues.size(), 7U);
  queues.AssignRoles(Bit(kFeatureMq));
  EXPECT_EQ(queues.control(), 6U);
  EXPECT_TRUE(queues.IsData(5));
  EXPECT_FALSE(queues.IsData(6));
  EXPECT_EQ(queues.control_group(), kCtrlGroup);
}

TEST(QueueTableTest, TheControlQueueIsTheThirdForADriverWithoutMq) {
  QueueTable queues(kPairs, ControlQueue::kPresent);
  queues.AssignRoles(0);
  EXPECT_EQ(queues.control(), 2U);
  EXPECT_TRUE(queues.IsData(1));
  for (const uint32_t index : {2U, 3U, 6U, UINT32_MAX}) {
    EXPECT_FALSE(queues.IsData(index)) << index;
  }
  EXPECT_EQ(queues.control_group(), kDataGroup) << "groups are fixed";
}

TEST(QueueTableTest, ADeviceMayHaveNoControlQueue) {
  QueueTable queues(1, ControlQueue::kAbsent);
  ASSERT_EQ(queues.size(), 2U);
  queues.AssignRoles(0);
  EXPECT_FALSE(queues.control());
  EXPECT_FALSE(queues.IsControl(2));
  EXPECT_FALSE(queues.IsData(2));
}

TEST(QueueTableTest, AQueueIsNamedAfterItsUse) {
  QueueTable queues(kPairs, ControlQueue::kPresent);
  queues.AssignRoles(Bit(kFeatureMq));
  EXPECT_EQ(queues.QueueName(0), "rx queue 0");
  EXPECT_EQ(queues.QueueName(5), "tx queue 5");
  EXPECT_EQ(queues.QueueName(6), "control queue");
}

TEST(QueueTableTest, AQueueThatComesBackContinuesWhereItStopped) {
  QueueTable queues(1, ControlQueue::kPresent);
  queues.BeginDriver();
  EXPECT_EQ(queues.StartPosition(0, {7}).avail_index, 7);
  queues.SetRunning(0, {7});
  EXPECT_TRUE(queues.IsRunning(0));
  queues.SetPosition(0, {20});
  queues.SetState(0, State::kTaken);
  EXPECT_TRUE(queues.HasRun(0));
  EXPECT_EQ(queues.StartPosition(0, {7}).avail_index, 20)
      << "the kernel says where it began";
  EXPECT_EQ(queues.StartPosition(0, {9}).avail_index, 9)
      << "the driver has set it up anew";
}

TEST(QueueTableTest, AnotherDriversQueuesHaveNotRun) {
  QueueTable queues(1, ControlQueue::kPresent);
  queues.SetRunning(1, {0});
  queues.SetPosition(1, {5});
  queues.EndDriver();
  EXPECT_EQ(queues.state(1), State::kDown);
  EXPECT_EQ(queues.position(1).avail_index, 5) << "for a driver that continues";
  queues.BeginDriver();
  EXPECT_FALSE(queues.HasRun(1));
  EXPECT_EQ(queues.StartPosition(1, {0}).avail_index, 0);
}

TEST(QueueTableTest, PositionsAreSavedAndTakenUpTogether) {
  QueueTable queues(1, ControlQueue::kPresent);
  EXPECT_EQ(queues.positions(), Positions(3));
  queues.SetPositions({{1}, {2}, {65535}});
  EXPECT_EQ(queues.position(2).avail_index, 65535);
  EXPECT_EQ(queues.positions(), (Positions{{1}, {2}, {65535}}));
}

}  // namespace
}  // namespace net
