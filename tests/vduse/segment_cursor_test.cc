// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "vduse/chain_io.h"

namespace vduse {
namespace {

using testing::ElementsAre;

class SegmentCursorTest : public testing::Test {
 protected:
  SegmentCursorTest() { std::iota(bytes_.begin(), bytes_.end(), uint8_t{0}); }

  // Cuts the first bytes into segments of these sizes.
  SegmentCursor Cut(std::initializer_list<size_t> sizes) {
    size_t at = 0;
    for (const size_t size : sizes) {
      segments_.push_back({.iov_base = bytes_.data() + at, .iov_len = size});
      at += size;
    }
    return SegmentCursor(segments_);
  }

  std::array<uint8_t, 16> bytes_;
  std::vector<iovec> segments_;
};

TEST_F(SegmentCursorTest, ReadsAcrossSegmentsWhereverTheyAreCut) {
  for (size_t cut = 0; cut <= 8; ++cut) {
    segments_.clear();
    SegmentCursor cursor = Cut({cut, 0, 8 - cut});
    std::array<uint8_t, 3> first;
    std::array<uint8_t, 5> rest;
    EXPECT_EQ(cursor.Read(first), 3U);
    EXPECT_EQ(cursor.Read(rest), 5U);
    EXPECT_THAT(first, ElementsAre(0, 1, 2));
    EXPECT_THAT(rest, ElementsAre(3, 4, 5, 6, 7));
  }
}

TEST_F(SegmentCursorTest, EndsWhereTheSegmentsEnd) {
  SegmentCursor cursor = Cut({3, 2});
  std::array<uint8_t, 8> to = {9, 9, 9, 9, 9, 9, 9, 9};
  EXPECT_EQ(cursor.Read(to), 5U);
  EXPECT_THAT(to, ElementsAre(0, 1, 2, 3, 4, 9, 9, 9));
  EXPECT_EQ(cursor.Read(to), 0U);
  EXPECT_EQ(cursor.Skip(1), 0U);
  EXPECT_EQ(cursor.Write(to), 0U);
}

TEST_F(SegmentCursorTest, WritesNoFurtherThanWhatItWasGiven) {
  SegmentCursor cursor = Cut({2, 6});
  EXPECT_EQ(cursor.Skip(1), 1U);
  const std::array<uint8_t, 3> data = {0xa, 0xb, 0xc};
  EXPECT_EQ(cursor.Write(data), 3U);
  EXPECT_THAT(std::span(bytes_).first(6), ElementsAre(0, 0xa, 0xb, 0xc, 4, 5));
}

TEST_F(SegmentCursorTest, HandsOutEachPieceOnceAndNoEmptyOne) {
  SegmentCursor cursor = Cut({0, 4, 0, 4, 0});
  cursor.Skip(1);
  std::vector<size_t> pieces;
  EXPECT_EQ(cursor.Advance(100,
                           [&](const uint8_t* at, size_t size) {
                             EXPECT_EQ(at - bytes_.data(),
                                       pieces.empty() ? 1 : 4);
                             pieces.push_back(size);
                           }),
            7U);
  EXPECT_THAT(pieces, ElementsAre(3, 4));
}

}  // namespace
}  // namespace vduse
