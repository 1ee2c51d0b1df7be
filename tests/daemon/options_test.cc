// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace program {
namespace {

TEST(CheckQueueSizeTest, SizesThatLinuxCanWorkWithAreTaken) {
  for (const char* text : {"32", "64", "256", "32768"}) {
    EXPECT_TRUE(CheckQueueSize(text).ok()) << text;
  }
}

TEST(CheckQueueSizeTest, SmallerOnesAreRefusedWithTheReason) {
  for (const char* text : {"2", "4", "8", "16"}) {
    const absl::Status status = CheckQueueSize(text);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_NE(status.message().find("fewer than 19 free"), std::string::npos);
  }
}

TEST(CheckQueueSizeTest, WhatIsNoSizeIsRefusedWithTheText) {
  for (const std::string text :
       {"", "0", "1", "33", "255", "65536", "-32", "32x", "4294967328", "x"}) {
    const absl::Status status = CheckQueueSize(text);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_NE(status.message().find("queue size " + text + " is not"),
              std::string::npos)
        << text;
  }
}

TEST(ParseCpusTest, ListsAndRangesInOrder) {
  // CPU 0 and what else there is.
  EXPECT_EQ(ParseCpus("0").value(), std::vector<int>{0});
  EXPECT_EQ(ParseCpus("0-0,0").value(), (std::vector<int>{0, 0}));
}

TEST(ParseCpusTest, WhatIsNoneIsRefused) {
  for (const char* text : {"", ",", "0,", "x", "0-", "-1", "1-0", "0 ", "0;1",
                           "1023", "4096", "99999999999"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseCpus(text).status())) << text;
  }
}

}  // namespace
}  // namespace program
