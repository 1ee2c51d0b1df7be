// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_TOOLS_RULE_USE_H_
#define VDUSE_NET_TESTS_TOOLS_RULE_USE_H_

#include <array>
#include <charconv>
#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/syscall_rules.h"

namespace tools {

// A system call as `strace -f -e raw=all` prints it:
//   1234  ioctl(0x5, 0x40048117, 0x7ffc1) = 0
struct TracedCall {
  std::string name;
  std::array<uint64_t, 6> arguments = {};
};

// Nothing if the line has no call's beginning.
inline std::optional<TracedCall> ParseTrace(std::string_view line) {
  const size_t bracket = line.find('(');
  if (bracket == std::string_view::npos) return std::nullopt;
  const size_t blank = line.find_last_of(" ]", bracket);
  const size_t begin = blank == std::string_view::npos ? 0 : blank + 1;
  TracedCall call{.name = std::string(line.substr(begin, bracket - begin))};
  if (call.name.empty() ||
      call.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789") !=
          std::string::npos) {
    return std::nullopt;
  }
  size_t at = bracket + 1;
  for (uint64_t& argument : call.arguments) {
    if (line.substr(at).starts_with("0x")) at += 2;
    const auto parsed =
        std::from_chars(line.data() + at, line.data() + line.size(), argument,
                        /*base=*/16);
    if (parsed.ec != std::errc()) break;
    at = static_cast<size_t>(parsed.ptr - line.data());
    if (!line.substr(at).starts_with(", ")) break;
    at += 2;
  }
  return call;
}

// Whether the filter allows the call because of that rule. The process's own
// number is not known here: any process's is accepted.
inline bool Uses(const TracedCall& call, const program::SyscallRule& rule) {
  if (call.name != rule.call) return false;
  for (const program::ArgumentCheck& check : rule.checks) {
    if (check.value == program::SyscallRule::kOwnPid) continue;
    if ((call.arguments.at(check.argument) & check.mask) != check.value) {
      return false;
    }
  }
  return true;
}

// Of the rules for a process in service, those that no call in the trace uses.
inline std::vector<program::SyscallRule> UnusedRules(
    std::vector<program::SyscallRule> rules, std::istream& trace) {
  std::erase_if(rules, [](const program::SyscallRule& rule) {
    return rule.use != program::Use::kService;
  });
  for (std::string line; !rules.empty() && std::getline(trace, line);) {
    const std::optional<TracedCall> call = ParseTrace(line);
    if (!call) continue;
    std::erase_if(rules, [&](const program::SyscallRule& rule) {
      return Uses(*call, rule);
    });
  }
  return rules;
}

}  // namespace tools

#endif  // VDUSE_NET_TESTS_TOOLS_RULE_USE_H_
