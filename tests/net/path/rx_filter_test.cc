// SPDX-License-Identifier: Apache-2.0
#include "net/path/rx_filter.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/wire/features.h"

namespace net {
namespace {

constexpr uint64_t kAll = kFilterFeatures | Bit(kFeatureMac);
constexpr MacAddress kMine = {2, 0, 0, 0, 0, 1};
constexpr MacAddress kOther = {2, 0, 0, 0, 0, 2};
constexpr MacAddress kGroup = {0x33, 0x33, 0, 0, 0, 1};
constexpr MacAddress kOtherGroup = {1, 0, 0x5e, 0, 0, 1};
constexpr MacAddress kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

std::vector<uint8_t> FrameTo(const MacAddress& to,
                             std::optional<uint16_t> tag = {},
                             uint16_t type = 0x8100) {
  std::vector<uint8_t> frame(to.begin(), to.end());
  frame.resize(12);
  const auto add = [&](uint16_t value) {
    frame.push_back(static_cast<uint8_t>(value >> 8));
    frame.push_back(static_cast<uint8_t>(value));
  };
  if (tag) {
    add(type);
    add(*tag);
  }
  add(0x88b5);
  frame.resize(60);
  return frame;
}

// Who gets through, one letter each.
std::string Through(const RxFilter& filter) {
  std::string through;
  const std::pair<char, MacAddress> all[] = {{'m', kMine},
                                             {'o', kOther},
                                             {'g', kGroup},
                                             {'G', kOtherGroup},
                                             {'b', kBroadcast}};
  for (const auto& [letter, mac] : all) {
    if (filter.Accepts(FrameTo(mac))) through += letter;
  }
  return through;
}

TEST(RxFilterTest, ADriverThatCannotFilterGetsAll) {
  const RxFilter filter = RxFilter::For(0, kMine);
  EXPECT_EQ(Through(filter), "mogGb");
  EXPECT_TRUE(filter.Accepts(FrameTo(kMine, 7)));
  EXPECT_TRUE(filter.AcceptsAll());
}

TEST(RxFilterTest, OneThatCanBeginsWithItsOwnAndBroadcasts) {
  const RxFilter filter = RxFilter::For(kAll, kMine);
  EXPECT_EQ(Through(filter), "mb");
  EXPECT_FALSE(filter.AcceptsAll());
  EXPECT_EQ(Through(RxFilter::For(kAll, {})), "mob") << "who is not known";
}

TEST(RxFilterTest, WhoWasToldNoAddressGetsEachUntilItSaysWhichItHas) {
  RxFilter filter = RxFilter::For(kFilterFeatures, kMine);
  EXPECT_EQ(Through(filter), "mob");
  EXPECT_FALSE(filter.AcceptsAll());
  EXPECT_FALSE(filter.Is(RxMode::kAllUni)) << "it has not asked for that";
  filter.Set(RxMode::kAllUni, true);
  filter.Set(RxMode::kAllUni, false);
  EXPECT_EQ(Through(filter), "mob");
  filter.Set(RxMode::kAllMulti, true);
  EXPECT_FALSE(filter.AcceptsAll()) << "no VLAN";
  filter.vlans.fill(0xff);
  EXPECT_TRUE(filter.AcceptsAll());
  filter.Set(RxMode::kNoUni, true);
  EXPECT_FALSE(filter.AcceptsAll());
  EXPECT_EQ(Through(filter), "gGb");
  filter.Set(RxMode::kNoUni, false);
  filter.mac = kOther;
  EXPECT_FALSE(filter.AcceptsAll());
  EXPECT_EQ(Through(filter), "ogGb");
}

TEST(RxFilterTest, EachModeDoesWhatItSays) {
  RxFilter filter = RxFilter::For(kAll, kMine);
  filter.multicast.Add(kGroup);
  const auto with = [&](std::initializer_list<RxMode> modes) {
    RxFilter changed = filter;
    for (const RxMode mode : modes) changed.Set(mode, true);
    std::string through = Through(changed);
    for (const RxMode mode : modes) changed.Set(mode, false);
    EXPECT_EQ(changed, filter) << "and off again";
    return through;
  };
  using enum RxMode;
  EXPECT_EQ(with({}), "mgb");
  EXPECT_EQ(with({kPromisc}), "mogGb");
  EXPECT_EQ(with({kAllMulti}), "mgGb");
  EXPECT_EQ(with({kAllUni}), "mogb");
  EXPECT_EQ(with({kNoMulti}), "mb");
  EXPECT_EQ(with({kNoUni}), "gb");
  EXPECT_EQ(with({kNoBcast}), "mg");
  // What suppresses goes before what allows, and promiscuous before all.
  EXPECT_EQ(with({kAllMulti, kNoMulti}), "mb");
  EXPECT_EQ(with({kAllUni, kNoUni}), "gb");
  EXPECT_EQ(with({kAllMulti, kNoBcast}), "mgG");
  EXPECT_EQ(with({kPromisc, kNoMulti, kNoUni, kNoBcast}), "mogGb");
}

TEST(RxFilterTest, WhatIsSuppressedIsNotAll) {
  using enum RxMode;
  for (const RxMode mode : {kNoMulti, kNoUni, kNoBcast}) {
    RxFilter filter = RxFilter::For(0, kMine);
    filter.Set(mode, true);
    EXPECT_FALSE(filter.AcceptsAll());
    filter.Set(kPromisc, true);
    EXPECT_TRUE(filter.AcceptsAll());
  }
}

TEST(RxFilterTest, TablesAreOfOneKindEach) {
  RxFilter filter = RxFilter::For(kAll, kMine);
  filter.unicast.Add(kOther);
  filter.unicast.Add(kGroup);
  EXPECT_EQ(Through(filter), "mob") << "no group there";
  filter.multicast.Add(kGroup);
  EXPECT_EQ(Through(filter), "mogb");
  filter.multicast = {};
  filter.unicast = {};
  EXPECT_EQ(Through(filter), "mb");
}

TEST(RxFilterTest, Row109_ATableThatOverflowsLosesNothing) {
  RxFilter filter = RxFilter::For(kAll, kMine);
  MacAddress mac = kOther;
  for (size_t i = 0; i < MacTable::kMaxEntries; ++i) {
    mac[4] = static_cast<uint8_t>(i);
    filter.unicast.Add(mac);
  }
  EXPECT_EQ(filter.unicast.overflow, 0);
  EXPECT_TRUE(filter.Accepts(FrameTo(mac))) << "the last";
  mac[0] = 6;
  EXPECT_FALSE(filter.Accepts(FrameTo(mac)));
  filter.unicast.Add(mac);
  EXPECT_EQ(filter.unicast.count, MacTable::kMaxEntries);
  EXPECT_EQ(Through(filter), "mob");
  EXPECT_TRUE(filter.Accepts(FrameTo(mac)));
}

TEST(RxFilterTest, OnlyTaggedFramesAreFilteredByVlan) {
  RxFilter filter = RxFilter::For(kAll, kMine);
  EXPECT_TRUE(filter.Accepts(FrameTo(kMine)));
  EXPECT_TRUE(filter.Accepts(FrameTo(kMine, 0xe000))) << "a priority alone";
  EXPECT_FALSE(filter.Accepts(FrameTo(kMine, 100)));
  EXPECT_TRUE(filter.Accepts(FrameTo(kMine, 100, 0x88a8)))
      << "a provider's tag is not what the table is of";
  filter.AddVlan(100);
  EXPECT_TRUE(filter.Accepts(FrameTo(kMine, 100)));
  EXPECT_TRUE(filter.Accepts(FrameTo(kMine, 100 | 0xf000)));
  EXPECT_FALSE(filter.Accepts(FrameTo(kOther, 100))) << "both have to fit";
  filter.RemoveVlan(100);
  EXPECT_FALSE(filter.Accepts(FrameTo(kMine, 100)));
  filter.Set(RxMode::kPromisc, true);
  EXPECT_TRUE(filter.Accepts(FrameTo(kMine, 100)));
}

TEST(RxFilterTest, Row111_EachVlanIsKeptApart) {
  RxFilter filter = RxFilter::For(kAll, kMine);
  std::set<uint16_t> vlans;
  std::minstd_rand random(1);
  for (int i = 0; i < 2000; ++i) {
    const auto id = static_cast<uint16_t>(random() % RxFilter::kVlans);
    if (random() % 3 != 0) {
      filter.AddVlan(id);
      vlans.insert(id);
    } else {
      filter.RemoveVlan(id);
      vlans.erase(id);
    }
  }
  for (uint16_t id = 1; id < RxFilter::kVlans; ++id) {
    ASSERT_EQ(filter.Accepts(FrameTo(kMine, id)), vlans.contains(id)) << id;
  }
}

TEST(RxFilterTest, AFrameCutAnywhereIsLookedAtNoFurther) {
  RxFilter filter = RxFilter::For(kAll, kMine);
  const std::vector<uint8_t> frame = FrameTo(kMine, 100);
  for (size_t size = 14; size < RxFilter::kLookBytes; ++size) {
    EXPECT_TRUE(filter.Accepts(std::span(frame).first(size))) << size;
  }
  EXPECT_FALSE(filter.Accepts(std::span(frame).first(RxFilter::kLookBytes)));
}

TEST(RxFilterTest, Row140_WhatCannotBeAFilterIsSeen) {
  const RxFilter good = RxFilter::For(kAll, kMine);
  EXPECT_TRUE(good.Valid());
  RxFilter modes = good;
  modes.modes = 1 << kRxModes;
  EXPECT_FALSE(modes.Valid());
  RxFilter unicast = good;
  unicast.unicast.count = MacTable::kMaxEntries + 1;
  EXPECT_FALSE(unicast.Valid());
  RxFilter multicast = good;
  multicast.multicast.count = 255;
  EXPECT_FALSE(multicast.Valid());
}

}  // namespace
}  // namespace net
