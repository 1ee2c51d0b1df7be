// SPDX-License-Identifier: Apache-2.0
#include "daemon/run.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <utility>

#include "base/unique_fd.h"
#include "daemon/admin_process.h"
#include "daemon/runner.h"
#include "daemon/state_file.h"
#include "vduse/sigbus_guard.h"

namespace program {

ExitCode Run(const RunOptions& options) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal_number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) {
    sigaddset(&set, signal_number);
  }
  // Before there are threads, so that all of them inherit it.
  sigprocmask(SIG_BLOCK, &set, nullptr);
  base::UniqueFd signals(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) {
    return Fail(kExitFailure, absl::ErrnoToStatus(errno, "signalfd"));
  }
  signal(SIGCHLD, SIG_IGN);  // children are reaped, their end is seen anyway
  absl::StatusOr<AdminProcess> admin = AdminProcess::Start();
  if (!admin.ok()) return Fail(kExitFailure, admin.status());
  absl::StatusOr<StateFile> state =
      StateFile::Open(options.state_dir, options.name);
  if (!state.ok()) return Fail(kExitFailure, state.status());
  vduse::SigbusGuard::Install();
  Runner runner(options, std::move(*admin), std::move(*state),
                std::move(signals));
  return runner.Run();
}

}  // namespace program
