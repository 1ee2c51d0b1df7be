// SPDX-License-Identifier: Apache-2.0
//
// Names the rules of the filter of system calls that a run has not used. Reads
// what `strace -f -qq -e raw=all -e signal=none -o FILE -p PID` has written of
// all processes of that role.
//   unused_rules device|administration FILE...
// Exit status: 0 none, 1 some, 2 usage.
#include <fmt/format.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>

#include "tests/tools/rule_use.h"

int main(int argc, char** argv) {
  const bool device = argc > 2 && std::strcmp(argv[1], "device") == 0;
  if (!device && (argc < 3 || std::strcmp(argv[1], "administration") != 0)) {
    fmt::print(stderr, "usage: unused_rules device|administration FILE...\n");
    return 2;
  }
  std::vector<program::SyscallRule> rules = program::RulesFor(
      device ? program::Role::kDevice : program::Role::kAdministration, true);
  for (int i = 2; i < argc; ++i) {
    std::ifstream trace(argv[i]);
    if (!trace) {
      fmt::print(stderr, "unused_rules: cannot read {}\n", argv[i]);
      return 2;
    }
    rules = tools::UnusedRules(std::move(rules), trace);
  }
  for (const program::SyscallRule& rule : rules) {
    fmt::print("unused: {} (needed by: {})\n", program::Describe(rule),
               rule.needed_by);
  }
  return rules.empty() ? 0 : 1;
}
