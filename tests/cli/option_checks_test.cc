// SPDX-License-Identifier: Apache-2.0
#include "cli/option_checks.h"

#include <gtest/gtest.h>

namespace cli {
namespace {

TEST(TapNameTest, OnlyWhatLinuxTakesForAnInterfaceIsAName) {
  for (const char* name :
       {"t", "tap0", "fifteen-letters", "tap.1", "t\xc3\xa9"}) {
    EXPECT_TRUE(CheckTapName(name).ok()) << name;
  }
  for (const char* name :
       {"", ".", "..", "all", "default", "tap%d", "a/b", "a:b", "a b", "a\tb",
        "a\x7f", "a\xa0", "sixteen-letters-"}) {
    const absl::Status status = CheckTapName(name);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << name;
    EXPECT_NE(status.message().find(name), std::string::npos) << name;
  }
}

TEST(CoalescingWarningsTest, WhatHasNoEffectIsSaid) {
  program::RunOptions options;
  EXPECT_TRUE(CoalescingWarnings(options).empty());
  options.rx.params = {.max_packets = 64, .max_usecs = 100};
  EXPECT_TRUE(CoalescingWarnings(options).empty());
  options.tx.params.max_usecs = 50;
  ASSERT_EQ(CoalescingWarnings(options).size(), 1U);
  EXPECT_NE(CoalescingWarnings(options)[0].find(
                "--tx-usecs 50 has no effect without --tx-frames"),
            std::string::npos);
  options.rx.goal = coalesce::Goal{};
  ASSERT_EQ(CoalescingWarnings(options).size(), 2U);
  EXPECT_NE(CoalescingWarnings(options)[0].find("beside a goal"),
            std::string::npos);
}

}  // namespace
}  // namespace cli
