// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/rule_use.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace tools {
namespace {

using program::SyscallRule;
using program::Use;

const std::vector<SyscallRule>& Rules() {
  static const auto* const rules = new std::vector<SyscallRule>{
      {"read", Use::kService, "", {}},
      {"ioctl", Use::kService, "", {{1, 0xffffffff, 0x40048117}}},
      {"mmap", Use::kService, "", {{2, 0x4, 0}}},
      {"abort", Use::kFailure, "", {}}};
  return *rules;
}

std::vector<std::string> Unused(const std::string& text) {
  std::istringstream trace(text);
  std::vector<std::string> names;
  for (const SyscallRule& rule : UnusedRules(Rules(), trace)) {
    names.emplace_back(rule.call);
  }
  return names;
}

using Names = std::vector<std::string>;

TEST(RuleUseTest, WithoutCallsAllRulesForServiceAreUnused) {
  EXPECT_EQ(Unused(""), (Names{"read", "ioctl", "mmap"}));
}

TEST(RuleUseTest, ACallUsesTheRuleOfItsName) {
  EXPECT_EQ(Unused("12  read(0x3, 0x7ffc, 0x8) = 0x8\n"),
            (Names{"ioctl", "mmap"}));
  EXPECT_EQ(Unused("[pid 12] read(0x3, 0x7ffc <unfinished ...>\n"),
            (Names{"ioctl", "mmap"}));
  EXPECT_EQ(Unused("12  readv(0x3, 0x7ffc, 0x8) = 0x8\n"),
            (Names{"read", "ioctl", "mmap"}));
}

TEST(RuleUseTest, ArgumentsAreCompared) {
  EXPECT_EQ(Unused("ioctl(0x3, 0x40048117, 0) = 0\n"), (Names{"read", "mmap"}));
  EXPECT_EQ(Unused("ioctl(0x3, 0x5401, 0) = 0\n"),
            (Names{"read", "ioctl", "mmap"}));
  EXPECT_EQ(Unused("mmap(0, 0x1000, 0x3, 0x22, 0xffffffff, 0) = 0x7f\n"),
            (Names{"read", "ioctl"}));
  EXPECT_EQ(Unused("mmap(0, 0x1000, 0x5, 0x22, 0xffffffff, 0) = 0x7f\n"),
            (Names{"read", "ioctl", "mmap"}));
}

TEST(RuleUseTest, OtherLinesAreIgnored) {
  EXPECT_EQ(Unused("12  <... read resumed>) = 0x8\n"
                   "12  +++ exited with 0 +++\n--- SIGINT (x) ---\n"),
            (Names{"read", "ioctl", "mmap"}));
}

}  // namespace
}  // namespace tools
