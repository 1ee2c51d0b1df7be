// SPDX-License-Identifier: Apache-2.0
//
// Finds the rules of the filters of system calls that no run has used.
//   unused_rules trace          reads the kernel's trace of system calls from
//                               standard input, and prints a line for each rule
//                               that is used: "USED ..."
//   unused_rules list LOG...    reads files with such lines, and names the
//   other
//                               rules for processes in service
// Exit status: 0 all are used, 1 some are not, 2 usage.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <optional>
#include <set>
#include <string>

#include "tests/tools/flags.h"
#include "tests/tools/rule_use.h"

namespace {

int Trace() {
  tools::RuleUse use;
  for (std::string line; std::getline(std::cin, line);) {
    if (const auto call = tools::ParseTrace(line)) use.Add(*call);
  }
  for (const std::string& text : use.used()) fmt::print("{}\n", text);
  return 0;
}

int List(char** logs) {
  std::set<std::string> used;
  for (; *logs != nullptr; ++logs) {
    std::ifstream log(*logs);
    if (!log) tools::Die("cannot read {}", *logs);
    for (std::string line; std::getline(log, line);) {
      // boot.sh puts the time in front.
      const size_t at = line.find("USED ");
      if (at != std::string::npos) used.insert(line.substr(at));
    }
  }
  bool all = true;
  for (const auto role :
       {program::Role::kDevice, program::Role::kAdministration}) {
    for (const auto& rule : tools::RoleUse(role).Unused(used)) {
      fmt::print("not {} (needed by: {})\n", tools::UseText(role, rule),
                 rule.needed_by);
      all = false;
    }
  }
  return all ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "trace" && argc == 2) return Trace();
  if (mode == "list" && argc > 2) return List(argv + 2);
  tools::Die("usage: unused_rules trace, or unused_rules list LOG...");
}
