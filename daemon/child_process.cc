// SPDX-License-Identifier: Apache-2.0
#include "daemon/child_process.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "base/log.h"

namespace program {
namespace {

// Closes all descriptors except `fds` and the standard ones.
void KeepOnly(std::vector<int> fds) {
  std::erase_if(fds, [](int fd) { return fd <= STDERR_FILENO; });
  fds.push_back(INT_MAX);
  std::sort(fds.begin(), fds.end());
  int first = STDERR_FILENO + 1;
  for (const int fd : fds) {
    if (first < fd) {
      close_range(static_cast<unsigned>(first), static_cast<unsigned>(fd) - 1,
                  0);
    }
    first = fd == INT_MAX ? fd : fd + 1;
  }
}

}  // namespace

absl::StatusOr<pid_t> StartChild(const ChildOptions& options,
                                 const std::function<void()>& run) {
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid > 0) return pid;

  std::vector<int> keep = options.keep;
  keep.push_back(base::LogFd());
  KeepOnly(std::move(keep));
  prctl(PR_SET_NAME, options.name);
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP}) {
    signal(signal_number, SIG_IGN);
  }
  run();
  _exit(0);
}

}  // namespace program
