// SPDX-License-Identifier: Apache-2.0
//
// Descriptors of processes. As long as one is open, its process is not taken
// for another one that has got the same pid. glibc 2.36 cannot be called for
// them from C++.
#ifndef VDUSE_NET_BASE_PIDFD_H_
#define VDUSE_NET_BASE_PIDFD_H_

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace base {

// Readable once the process has ended. Empty on an error, with errno set.
inline UniqueFd OpenPidfd(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

// False on an error, with errno set: ESRCH if the process has ended.
[[nodiscard]] inline bool SendSignal(const UniqueFd& process, int number) {
  return syscall(SYS_pidfd_send_signal, process.get(), number, nullptr, 0) == 0;
}

}  // namespace base

#endif  // VDUSE_NET_BASE_PIDFD_H_
