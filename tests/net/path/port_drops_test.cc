// SPDX-License-Identifier: Apache-2.0
#include "net/path/port_drops.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace net {
namespace {

class PortDropsTest : public testing::Test {
 protected:
  // The interface's counter is so much.
  void Say(const std::string& text) { std::ofstream(path) << text; }
  base::UniqueFd File() const {
    return base::UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }

  tests::TempDir dir;
  const std::string path = dir.path() + "/tx_dropped";
  PortDrops drops;
};

TEST_F(PortDropsTest, WithoutAFileNothingIsCounted) {
  drops.Start();
  EXPECT_EQ(drops.count(), 0U);
  drops.Stop();
  EXPECT_EQ(drops.count(), 0U);
  EXPECT_FALSE(PortDrops::OpenFile("no such interface"));
}

TEST_F(PortDropsTest, OnlyWhatIsDroppedMeanwhileCounts) {
  Say("1000\n");
  drops.SetFile(File());
  EXPECT_EQ(drops.count(), 0U);
  drops.Start();
  EXPECT_EQ(drops.count(), 0U);
  Say("1007\n");
  EXPECT_EQ(drops.count(), 7U);
  EXPECT_EQ(drops.count(), 7U);
  drops.Stop();
  Say("2000\n");
  EXPECT_EQ(drops.count(), 7U);
  drops.Start();
  Say("2001\n");
  EXPECT_EQ(drops.count(), 8U);
  drops.Start();
  EXPECT_EQ(drops.count(), 8U) << "again is no more";
}

TEST_F(PortDropsTest, AnotherInterfaceGoesOn) {
  Say("5\n");
  drops.Start();
  drops.SetFile(File());
  EXPECT_EQ(drops.count(), 0U);
  Say("8\n");
  EXPECT_EQ(drops.count(), 3U);
  drops.SetFile(File());
  Say("9\n");
  EXPECT_EQ(drops.count(), 4U);
  Say("");
  EXPECT_EQ(drops.count(), 4U) << "it is gone";
  drops.SetFile({});
  EXPECT_EQ(drops.count(), 4U);
}

TEST_F(PortDropsTest, WhatMakesNoSenseIsNone) {
  Say("5\n");
  drops.SetFile(File());
  drops.Start();
  for (const char* text : {"", "x", "3\n", "99999999999999999999999\n"}) {
    Say(text);
    EXPECT_EQ(drops.count(), 0U) << text;
  }
}

}  // namespace
}  // namespace net
