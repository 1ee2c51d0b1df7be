// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/rule_use.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace tools {
namespace {

constexpr auto kDevice = program::Role::kDevice;
constexpr auto kAdmin = program::Role::kAdministration;

std::string Line(const std::string& thread, int process,
                 const std::string& call) {
  return fmt::format(
      "   {}-77      (   {}) [001] .....    12.345678: "
      "sys_enter: {}",
      thread, process, call);
}
const char* const kSeccomp = "NR 317 (1, 1, 7ffc1, 0, 0, 0)";
const char* const kRead = "NR 0 (3, 7ffc, 8, 0, 0, 0)";

std::set<std::string> UsedBy(const std::vector<std::string>& lines) {
  RuleUse use;
  for (const std::string& line : lines) {
    if (const auto call = ParseTrace(line)) use.Add(*call);
  }
  return use.used();
}

TEST(RuleUseTest, ACallHasItsThreadItsProcessAndItsArguments) {
  const auto call = ParseTrace(
      Line("vn-pair-0", 4711, "NR 16 (5, 40048117, 7ffc00112233, 0, a, ff)"));
  ASSERT_TRUE(call);
  EXPECT_EQ(call->thread, "vn-pair-0");
  EXPECT_EQ(call->process, 4711);
  EXPECT_EQ(call->number, 16);
  EXPECT_EQ(call->arguments, (std::array<uint64_t, 6>{
                                 5, 0x40048117, 0x7ffc00112233, 0, 0xa, 0xff}));
}

TEST(RuleUseTest, OtherLinesAreNoCalls) {
  EXPECT_FALSE(ParseTrace(""));
  EXPECT_FALSE(ParseTrace("# tracer: nop"));
  EXPECT_FALSE(ParseTrace("CPU:1 [LOST 12 EVENTS]"));
  EXPECT_FALSE(ParseTrace(Line("x", 1, "NR 16 (5, 40048117")));
  EXPECT_FALSE(ParseTrace("  <...>-12 (-------) [000] ..... 1.0: sys_enter: " +
                          std::string(kRead)));
}

TEST(RuleUseTest, CallsCountOnceThereIsAFilter) {
  EXPECT_EQ(UsedBy({Line("vduse-net-stby", 5, kRead)}),
            std::set<std::string>{});
  EXPECT_EQ(UsedBy({Line("vduse-net-stby", 5, "NR 317 (1, 1, 0, 0, 0, 0)"),
                    Line("vduse-net-stby", 5, kRead)}),
            std::set<std::string>{})
      << "asks what the kernel knows";
  EXPECT_EQ(
      UsedBy({Line("vduse-net-stby", 5, kSeccomp), Line("vn-pair-0", 5, kRead),
              Line("vduse-net-stby", 6, "NR 1 (3, 7ffc, 8, 0, 0, 0)")}),
      std::set<std::string>{"USED device: read"});
}

TEST(RuleUseTest, TheNameTellsTheRole) {
  EXPECT_EQ(UsedBy({Line("vduse-net", 5, kSeccomp), Line("vduse-net", 5, kRead),
                    Line("vduse-net-admin", 5, kRead)}),
            std::set<std::string>{"USED admin: read"});
}

TEST(RuleUseTest, ArgumentsAreCompared) {
  const auto used = [](const std::string& call) {
    return UsedBy({Line("vduse-net-dev", 5, kSeccomp),
                   Line("vduse-net-dev", 5, call)})
        .size();
  };
  EXPECT_EQ(used("NR 16 (3, 40048117, 0, 0, 0, 0)"), 1U);
  EXPECT_EQ(used("NR 16 (3, 5401, 0, 0, 0, 0)"), 0U);
  EXPECT_EQ(used("NR 9 (0, 1000, 3, 22, ffffffff, 0)"), 1U);
  EXPECT_EQ(used("NR 9 (0, 1000, 5, 22, ffffffff, 0)"), 0U);
}

TEST(RuleUseTest, WhatNoLogNamesIsUnused) {
  const RoleUse device(kDevice);
  const size_t all = device.Unused({}).size();
  EXPECT_GT(all, 10U);
  EXPECT_EQ(device.Unused({"USED device: read"}).size(), all - 1);
  EXPECT_EQ(device.Unused({"USED admin: read"}).size(), all);
  EXPECT_EQ(RoleUse(kAdmin).Unused({"USED admin: read"}).size() + 1,
            RoleUse(kAdmin).Unused({}).size());
}

}  // namespace
}  // namespace tools
