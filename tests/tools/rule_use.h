// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_TOOLS_RULE_USE_H_
#define VDUSE_NET_TESTS_TOOLS_RULE_USE_H_

#include <fmt/format.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/syscall_rules.h"

namespace tools {

// The begin of a system call, as the kernel's trace (tracefs) shows the event
// raw_syscalls:sys_enter with the option record-tgid:
//   vn-pair-0-1301 (  1298) [001] ..... 7.31: sys_enter: NR 16 (5, 40048117,
//   ...)
struct TracedCall {
  std::string thread;  // its name
  pid_t process = 0;
  int number = 0;
  std::array<uint64_t, 6> arguments = {};
};

// Nothing if the line is not of that form.
inline std::optional<TracedCall> ParseTrace(const std::string& line) {
  constexpr std::string_view kEvent = ": sys_enter: NR ";
  const size_t bracket = line.find(" (");
  const size_t event = line.find(kEvent);
  if (bracket == std::string::npos || event == std::string::npos) {
    return std::nullopt;
  }
  TracedCall call;
  const size_t begin = line.find_first_not_of(' ');
  const size_t name_end = line.find_last_of('-', bracket);
  if (name_end == std::string::npos || name_end < begin) return std::nullopt;
  call.thread = line.substr(begin, name_end - begin);
  call.process = std::atoi(line.c_str() + bracket + 2);
  const char* const end = line.data() + line.size();
  auto at =
      std::from_chars(line.data() + event + kEvent.size(), end, call.number);
  const char* separator = " (";
  for (uint64_t& argument : call.arguments) {
    if (at.ec != std::errc() ||
        !std::string_view(at.ptr, end).starts_with(separator)) {
      return std::nullopt;
    }
    at = std::from_chars(at.ptr + 2, end, argument, /*base=*/16);
    separator = ", ";
  }
  if (at.ec != std::errc() || call.process == 0) return std::nullopt;
  return call;
}

// Whether the call passes the rule's checks. The process's own number is not
// known here: any process's is accepted.
inline bool Passes(const TracedCall& call, const program::SyscallRule& rule) {
  for (const program::ArgumentCheck& check : rule.checks) {
    if (check.value == program::SyscallRule::kOwnPid) continue;
    if ((call.arguments.at(check.argument) & check.mask) != check.value) {
      return false;
    }
  }
  return true;
}

// A rule of a role in words. A log has such lines for the rules that were used.
inline std::string UseText(program::Role role,
                           const program::SyscallRule& rule) {
  return fmt::format("USED {}: {}",
                     role == program::Role::kDevice ? "device" : "admin",
                     program::Describe(rule));
}

// The rules of a role, by the number of their call.
class RoleUse {
 public:
  explicit RoleUse(program::Role role)
      : role_(role), rules_(program::RulesFor(role, true)) {
    for (const program::SyscallRule& rule : rules_) {
      by_number_[seccomp_syscall_resolve_name(rule.call)].push_back(&rule);
    }
  }

  // Adds those that the filter allows the call for, as UseText().
  void AddUsed(const TracedCall& call, std::set<std::string>& used) const {
    const auto found = by_number_.find(call.number);
    if (found == by_number_.end()) return;
    for (const program::SyscallRule* rule : found->second) {
      if (Passes(call, *rule)) used.insert(UseText(role_, *rule));
    }
  }

  // Those for a process in service that are not in `used`.
  std::vector<program::SyscallRule> Unused(
      const std::set<std::string>& used) const {
    std::vector<program::SyscallRule> unused;
    for (const program::SyscallRule& rule : rules_) {
      if (rule.use == program::Use::kService &&
          !used.contains(UseText(role_, rule))) {
        unused.push_back(rule);
      }
    }
    return unused;
  }

 private:
  const program::Role role_;
  const std::vector<program::SyscallRule> rules_;
  std::map<int, std::vector<const program::SyscallRule*>> by_number_;
};

// Finds the rules that the calls of the program's processes use. Those of a
// process that has no filter yet do not count.
class RuleUse {
 public:
  void Add(const TracedCall& call) {
    Process& process = processes_[call.process];
    if (call.thread == "vduse-net-admin") process.is_admin = true;
    if (process.sealed) {
      device_.AddUsed(call, process.as_device);
      admin_.AddUsed(call, process.as_admin);
    }
    process.sealed =
        process.sealed || (call.number == SYS_seccomp &&
                           call.arguments[0] == SECCOMP_SET_MODE_FILTER &&
                           call.arguments[2] != 0);
  }

  // Of all processes, as UseText().
  std::set<std::string> used() const {
    std::set<std::string> used;
    for (const auto& [pid, process] : processes_) {
      const auto& of_it =
          process.is_admin ? process.as_admin : process.as_device;
      used.insert(of_it.begin(), of_it.end());
    }
    return used;
  }

 private:
  struct Process {
    bool sealed = false;
    bool is_admin = false;  // the kernel may show the name late
    std::set<std::string> as_device;
    std::set<std::string> as_admin;
  };

  const RoleUse device_{program::Role::kDevice};
  const RoleUse admin_{program::Role::kAdministration};
  std::map<pid_t, Process> processes_;
};

}  // namespace tools

#endif  // VDUSE_NET_TESTS_TOOLS_RULE_USE_H_
