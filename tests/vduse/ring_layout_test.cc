// SPDX-License-Identifier: Apache-2.0
#include "vduse/ring_layout.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

namespace vduse {
namespace {

// 2.7.10 step by step: `event` is one of old_index .. new_index - 1.
bool Among(uint16_t event, uint16_t new_index, uint16_t old_index) {
  for (uint16_t i = old_index; i != new_index; ++i) {
    if (i == event) return true;
  }
  return false;
}

TEST(RingLayout, DescriptorFieldsLieWhereTheSpecificationPutsThem) {
  EXPECT_EQ(offsetof(Desc, addr), 0U);
  EXPECT_EQ(offsetof(Desc, len), 8U);
  EXPECT_EQ(offsetof(Desc, flags), 12U);
  EXPECT_EQ(offsetof(Desc, next), 14U);
  EXPECT_EQ(offsetof(UsedElem, id), 0U);
  EXPECT_EQ(offsetof(UsedElem, len), 4U);
}

TEST(RingLayout, AreasHaveTheSizesOfTheSpecificationsTable) {
  EXPECT_EQ(DescBytes(256), 4096U);
  EXPECT_EQ(AvailBytes(256, true), 6U + 2U * 256U);
  EXPECT_EQ(UsedBytes(256, true), 6U + 8U * 256U);
}

TEST(RingLayout, TheEventWordCountsOnlyWhenNegotiated) {
  EXPECT_EQ(AvailBytes(8, true) - AvailBytes(8, false), 2U);
  EXPECT_EQ(UsedBytes(8, true) - UsedBytes(8, false), 2U);
}

TEST(RingLayout, TheLargestRingDoesNotOverflow) {
  EXPECT_EQ(DescBytes(kMaxQueueSize), 524288U);
  EXPECT_EQ(UsedBytes(kMaxQueueSize, true), 262150U);
}

TEST(PassedEvent, IsNeverTrueWhereNothingMoved) {
  for (uint32_t event = 0; event <= UINT16_MAX; ++event) {
    ASSERT_FALSE(PassedEvent(static_cast<uint16_t>(event), 7, 7)) << event;
  }
}

TEST(PassedEvent, Row50_AgreesWithCountingForEveryEventAroundAnyMove) {
  for (const int old_value : {0, 1, 100, 32767, 65530, 65535}) {
    for (const int moved : {1, 2, 6, 255, 256, 32768}) {
      const auto old_index = static_cast<uint16_t>(old_value);
      const auto new_index = static_cast<uint16_t>(old_index + moved);
      for (const int near :
           {-2, -1, 0, 1, moved - 2, moved - 1, moved, moved + 1}) {
        const auto event = static_cast<uint16_t>(old_index + near);
        ASSERT_EQ(PassedEvent(event, new_index, old_index),
                  Among(event, new_index, old_index))
            << "event " << event << " old " << old_index << " new "
            << new_index;
      }
    }
  }
}

TEST(PassedEvent, Row52_AnEventAtTheLastIndexIsPassedByWrapping) {
  EXPECT_TRUE(PassedEvent(65535, 0, 65535));
  EXPECT_TRUE(PassedEvent(65535, 1, 65530));
  EXPECT_FALSE(PassedEvent(0, 0, 65535));
  EXPECT_TRUE(PassedEvent(0, 1, 65535));
}

}  // namespace
}  // namespace vduse
