// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_SYSCALL_RULES_H_
#define VDUSE_NET_DAEMON_SYSCALL_RULES_H_

#include <cstdint>
#include <string>
#include <vector>

namespace program {

// The processes that have a filter of system calls. A device process that waits
// as the standby has that of the device process.
enum class Role {
  kDevice,  // after its threads have started
  kAdministration,
};

// Sanitizers make system calls of their own, for which the filters of such a
// build have further rules.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

// A condition of a rule: (argument & mask) == value.
struct ArgumentCheck {
  unsigned argument;  // 0 is the first
  uint64_t mask;
  uint64_t value;
};

// What makes a process use a rule.
enum class Use {
  kService,       // a run of all tests
  kFailure,       // a failure of the process, or of the host
  kOtherVersion,  // another version of the kernel, the C library, the caller
};

// Allows one system call, if all checks hold.
struct SyscallRule {
  // Stands for the process's own number in a check: a filter is made before the
  // process that it is for.
  static constexpr uint32_t kOwnPid = 0x7ffffff1;

  const char* call;  // its name
  Use use;
  const char* needed_by;
  std::vector<ArgumentCheck> checks;
};

// The rules of a role. Without `io_uring` there are none for it, as suits
// --engine syscalls.
std::vector<SyscallRule> RulesFor(Role role, bool io_uring);

// A rule in words, such as "ioctl, argument 1 & 0xffffffff is 0x40048117".
std::string Describe(const SyscallRule& rule);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_SYSCALL_RULES_H_
