// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_CHILD_PROCESS_H_
#define VDUSE_NET_DAEMON_CHILD_PROCESS_H_

#include <sys/types.h>

#include <functional>
#include <vector>

#include "absl/status/statusor.h"

namespace program {

struct ChildOptions {
  // As `ps -o comm` shows it; at most 15 characters.
  const char* name;
  // The descriptors that the child keeps, besides the standard ones and the
  // log's. Numbers below 0 are ignored.
  std::vector<int> keep;
};

// Forks a child that runs `run`, and ends with status 0 when that returns. The
// child runs no destructors of what it has inherited. It ignores SIGINT,
// SIGTERM and SIGHUP: a signal to the whole process group is for the parent to
// handle. Call it while this process has one thread. Returns the child's pid;
// the caller waits for it.
absl::StatusOr<pid_t> StartChild(const ChildOptions& options,
                                 const std::function<void()>& run);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_CHILD_PROCESS_H_
