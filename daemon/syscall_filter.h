// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_SYSCALL_FILTER_H_
#define VDUSE_NET_DAEMON_SYSCALL_FILTER_H_

#include <linux/filter.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/syscall_rules.h"

namespace program {

// What happens to a process that makes a system call without a rule.
enum class OnForbidden {
  kKill,  // it dies of SIGSYS
  kLog,   // the kernel logs the call and allows it: to find missing rules
};

// A compiled filter of system calls.
class SyscallFilter {
 public:
  // Starts a child process that compiles, and waits for it.
  static absl::StatusOr<SyscallFilter> Make(
      Role role, bool io_uring = true,
      OnForbidden on_forbidden = OnForbidden::kKill);

  // Applies the filter to all threads of the calling process, for ever. A
  // thread that has just been started still makes calls that the rules of the
  // device process do not allow: wait until it has done its first work. Needs
  // no_new_privs. Allocates only to report an error.
  absl::Status Install();

  // The number of the filter's instructions.
  size_t size() const { return program_.size(); }

 private:
  explicit SyscallFilter(std::vector<sock_filter> program)
      : program_(std::move(program)) {}

  std::vector<sock_filter> program_;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_SYSCALL_FILTER_H_
