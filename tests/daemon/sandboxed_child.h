// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_DAEMON_SANDBOXED_CHILD_H_
#define VDUSE_NET_TESTS_DAEMON_SANDBOXED_CHILD_H_

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "daemon/sandbox.h"

namespace program {

// A user for whose absence no warning is logged.
inline SandboxOptions AsNobody() { return {.user = "65534"}; }

// What the child does: `before` ahead of Seal(), `after` behind it.
struct SandboxedWork {
  std::function<void()> before = [] {};
  std::function<void()> after = [] {};
};

// Runs the work in a child process, in the sandbox of `role`. The child ends
// with status 0 if it gets to the end. Returns the status of waitpid().
inline int RunInSandbox(Role role, const SandboxOptions& options,
                        const SandboxedWork& work) {
  absl::StatusOr<Sandbox> sandbox = Sandbox::Prepare(role, options);
  EXPECT_TRUE(sandbox.ok()) << sandbox.status();
  if (!sandbox.ok()) return -1;
  const pid_t pid = fork();
  if (pid == 0) {
    if (!sandbox->Enter().ok()) _exit(100);
    work.before();
    if (!sandbox->Seal().ok()) _exit(101);
    work.after();
    _exit(0);
  }
  int status = -1;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

inline int RunInSandbox(const std::function<void()>& after) {
  return RunInSandbox(Role::kDevice, AsNobody(), {.after = after});
}

inline bool Survived(int status) {
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
inline bool DiedOf(int status, int signal_number) {
  return WIFSIGNALED(status) && WTERMSIG(status) == signal_number;
}
inline bool WasForbidden(int status) { return DiedOf(status, SIGSYS); }

}  // namespace program

#endif  // VDUSE_NET_TESTS_DAEMON_SANDBOXED_CHILD_H_
