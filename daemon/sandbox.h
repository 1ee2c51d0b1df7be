// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_SANDBOX_H_
#define VDUSE_NET_DAEMON_SANDBOX_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/sandbox_board.h"
#include "daemon/sandbox_user.h"
#include "daemon/syscall_filter.h"

namespace program {

struct SandboxOptions {
  enum class Mode {
    kOn,
    kLog,  // system calls without a rule are logged and allowed
    kOff,  // for debugging
  };
  Mode mode = Mode::kOn;
  std::string user = kDefaultSandboxUser;  // of the device process
  bool io_uring = true;                    // whether the engine may use it
  // Where each process shows its report; may be null.
  SandboxBoard* board = nullptr;
};

// The report as a line of the log.
std::string Describe(const SandboxReport& report);

// The names of a report's capabilities, such as "net_admin".
std::vector<std::string> CapabilitiesOf(const SandboxReport& report);

// What is in force in this process, which has no sandbox.
SandboxReport ReportWithoutSandbox();

// What a process may do. The process that starts it calls Prepare(); the new
// process calls Enter(), which allocates and opens files, and then Seal().
class Sandbox {
 public:
  // Looks up the user and compiles the filter. Logs what an operator should
  // know: a sandbox that is turned off, a user that is missing.
  static absl::StatusOr<Sandbox> Prepare(Role role,
                                         const SandboxOptions& options);

  // Gives up all that the role does not need, but for system calls. Call it
  // before the process has a second thread: capabilities and Landlock are of a
  // thread, and only new threads inherit them. After it, the device process
  // opens no file. Clears a signal that was set with PR_SET_PDEATHSIG.
  // On an error, end the process.
  absl::Status Enter();

  // Forbids, in all threads, the system calls that the role does not need;
  // those include starting threads. Each thread must have done its first work.
  // Shows the report on the board; a device process is a standby at first.
  // On an error, end the process.
  absl::Status Seal();

  // Shows the report at another place of the board.
  void ShowAs(SandboxBoard::Place place) const;
  SandboxBoard* board() const { return board_; }

  const SandboxReport& report() const { return report_; }

 private:
  Sandbox(Role role, const SandboxOptions& options, SandboxUser user)
      : role_(role), mode_(options.mode), user_(user), board_(options.board) {}

  absl::Status ChangeUser() const;
  absl::Status DropCapabilities();

  Role role_;
  SandboxOptions::Mode mode_;
  SandboxUser user_;
  SandboxBoard* board_;
  std::optional<SyscallFilter> filter_;
  SandboxReport report_;
};

// What would be in force: a child process enters the device process's sandbox,
// seals it and reports.
absl::StatusOr<SandboxReport> TrySandbox(const SandboxOptions& options);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_SANDBOX_H_
