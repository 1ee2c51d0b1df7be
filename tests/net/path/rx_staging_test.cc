// SPDX-License-Identifier: Apache-2.0
#include "net/path/rx_staging.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace net {
namespace {

using Memory = std::vector<uint8_t>;

// Fills the first `bytes` of a slot and queues them.
void Stage(RxStaging& staging, size_t slot, size_t bytes, uint8_t value) {
  std::ranges::fill(staging.Slot(slot).first(bytes), value);
  staging.Push(slot, bytes);
}

bool Holds(std::span<const uint8_t> packet, size_t bytes, uint8_t value) {
  return packet.size() == bytes &&
         std::ranges::all_of(packet, [&](uint8_t b) { return b == value; });
}

TEST(RxStagingTest, PacketsComeOutInTheOrderOfArrivalWhateverTheirSlots) {
  Memory memory(RxStaging::kBytes);
  RxStaging staging(memory);
  EXPECT_TRUE(staging.empty());
  Stage(staging, 5, 60, 0x11);
  Stage(staging, 0, RxStaging::kSlotBytes, 0x22);
  Stage(staging, kMaxBatch - 1, 1514, 0x33);
  EXPECT_EQ(staging.size(), 3U);
  EXPECT_TRUE(Holds(staging.Front(), 60, 0x11));
  staging.Pop();
  EXPECT_TRUE(Holds(staging.Front(), RxStaging::kSlotBytes, 0x22));
  staging.Pop();
  EXPECT_EQ(staging.size(), 1U);
  EXPECT_TRUE(Holds(staging.Front(), 1514, 0x33));
  staging.Pop();
  EXPECT_TRUE(staging.empty());
}

TEST(RxStagingTest, AWholeBatchFitsAgainAndAgain) {
  Memory memory(RxStaging::kBytes);
  RxStaging staging(memory);
  for (uint8_t round = 1; round <= 3; ++round) {
    for (size_t slot = 0; slot < kMaxBatch; ++slot) {
      Stage(staging, slot, 2, round);
    }
    EXPECT_EQ(staging.size(), kMaxBatch);
    for (size_t slot = 0; slot < kMaxBatch; ++slot) {
      ASSERT_TRUE(Holds(staging.Front(), 2, round));
      staging.Pop();
    }
    EXPECT_TRUE(staging.empty());
  }
}

TEST(RxStagingTest, ClearForgetsWhatWaits) {
  Memory memory(RxStaging::kBytes);
  RxStaging staging(memory);
  Stage(staging, 0, 60, 1);
  Stage(staging, 1, 60, 2);
  staging.Pop();
  staging.Clear();
  EXPECT_TRUE(staging.empty());
  Stage(staging, 1, 60, 3);
  EXPECT_EQ(staging.size(), 1U);
  EXPECT_TRUE(Holds(staging.Front(), 60, 3));
}

// The slots are the largest packet and a byte more, by which a larger packet is
// noticed; they do not overlap.
TEST(RxStagingTest, SlotsDoNotOverlap) {
  Memory memory(RxStaging::kBytes);
  RxStaging staging(memory);
  for (size_t slot = 1; slot < kMaxBatch; ++slot) {
    const std::span<uint8_t> before = staging.Slot(slot - 1);
    EXPECT_GT(before.size(), kHeaderBytes + kMaxFrameBytes);
    EXPECT_EQ(before.data() + before.size(), staging.Slot(slot).data());
  }
}

}  // namespace
}  // namespace net
