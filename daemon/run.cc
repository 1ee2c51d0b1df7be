// SPDX-License-Identifier: Apache-2.0
#include "daemon/run.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <memory>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/privileges.h"
#include "base/unique_fd.h"
#include "daemon/admin_process.h"
#include "daemon/adoption.h"
#include "daemon/device_setup.h"
#include "daemon/file_limit.h"
#include "daemon/sandbox.h"
#include "daemon/sandbox_board.h"
#include "daemon/supervisor.h"
#include "daemon/upgrade.h"
#include "state/state_file.h"

namespace program {
namespace {

// Nobody may end or stop the process by accident: by not reading its log,
// through a log file at its size limit, or from a terminal's keyboard.
void IgnoreSignals() {
  for (const int signal_number :
       {SIGPIPE, SIGXFSZ, SIGTSTP, SIGTTIN, SIGTTOU}) {
    signal(signal_number, SIG_IGN);
  }
}

// Whether this program, with these options, can go on with the device of the
// supervisor that it replaces. Asked before that supervisor ends: it goes on if
// not.
std::optional<base::ExitCode> CheckDevice(const RunOptions& options) {
  // The device's state may be of a newer release.
  if (const absl::Status readable =
          state::StateFile::CheckReadable(options.state_dir, options.name);
      !readable.ok()) {
    return base::Fail(base::kExitFailure, readable);
  }
  const auto saved = state::StateFile::Peek(options.state_dir, options.name);
  if (!saved || !DeviceExists(options.name)) return std::nullopt;
  const absl::Status fits = FitsDevice(options, *saved);
  if (fits.ok()) return std::nullopt;
  return base::Fail(base::kExitUsage, fits);
}

}  // namespace

base::ExitCode Run(const RunOptions& given) {
  IgnoreSignals();
  if (const absl::Status privileges = base::CheckPrivileges();
      !privileges.ok()) {
    return base::Fail(base::kExitHost, privileges);
  }
  if (const absl::Status enough = RaiseFileLimit(kNeededFiles); !enough.ok()) {
    return base::Fail(base::kExitHost, enough);
  }
  if (ReplacesSupervisor()) {
    if (const auto failed = CheckDevice(given)) return *failed;
  }
  absl::StatusOr<std::unique_ptr<SandboxBoard>> board = SandboxBoard::Create();
  if (!board.ok()) return base::Fail(base::kExitFailure, board.status());
  (*board)->Show(SandboxBoard::Place::kSupervisor, ReportWithoutSandbox());
  RunOptions options = given;
  options.sandbox.board = board->get();
  absl::StatusOr<Sandbox> sandbox =
      Sandbox::Prepare(Role::kDevice, options.sandbox);
  if (!sandbox.ok()) return base::Fail(base::kExitUsage, sandbox.status());
  if (const absl::Status turn = AwaitTurn(); !turn.ok()) {
    return base::Fail(base::kExitFailure, turn);
  }
  sigset_t set;
  sigemptyset(&set);
  for (const int signal_number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD}) {
    sigaddset(&set, signal_number);
  }
  // Before there are threads, so that all threads inherit the mask.
  sigprocmask(SIG_BLOCK, &set, nullptr);
  base::UniqueFd signals(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) {
    return base::Fail(base::kExitFailure,
                      absl::ErrnoToStatus(errno, "signalfd"));
  }
  absl::StatusOr<AdminProcess> admin = AdminProcess::Start(&options.sandbox);
  if (!admin.ok()) return base::Fail(base::kExitFailure, admin.status());
  absl::StatusOr<state::StateFile> state = state::StateFile::Open(
      options.state_dir, options.name,
      DeviceExists(options.name) ? state::StateFile::IfFull::kGoOn
                                 : state::StateFile::IfFull::kFail);
  if (!state.ok()) {
    return base::Fail(base::kExitFailure,
                      base::ExplainPermission(state.status()));
  }
  if (!state->kept()) {
    base::Log(base::Severity::kWarning,
              "no space for the state in {}: it is lost if this process is "
              "killed",
              options.state_dir);
  }
  Supervisor supervisor(options, std::move(*sandbox), std::move(*admin),
                        std::move(*state), std::move(signals));
  return supervisor.Run();
}

}  // namespace program
