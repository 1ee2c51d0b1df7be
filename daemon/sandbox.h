// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_SANDBOX_H_
#define VDUSE_NET_DAEMON_SANDBOX_H_

#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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
};

// What is in force in a process, as the kernel has confirmed it. Plain bytes: a
// process may send it to another.
struct SandboxReport {
  bool on = false;
  uid_t uid = 0;
  bool no_capabilities = false;
  bool no_new_privs = false;
  bool no_dumps = false;
  bool filtered = false;  // system calls without a rule kill the process
  int landlock_abi = 0;   // 0 if Landlock is not in force
};

// The report as a line of the log.
std::string Describe(const SandboxReport& report);

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
  // On an error, end the process.
  absl::Status Seal();

  const SandboxReport& report() const { return report_; }

 private:
  Sandbox(Role role, SandboxOptions::Mode mode, SandboxUser user)
      : role_(role), mode_(mode), user_(user) {}

  absl::Status ChangeUser() const;
  absl::Status DropCapabilities();

  Role role_;
  SandboxOptions::Mode mode_;
  SandboxUser user_;
  std::optional<SyscallFilter> filter_;
  SandboxReport report_;
};

// What would be in force: a child process enters the device process's sandbox,
// seals it and reports.
absl::StatusOr<SandboxReport> TrySandbox(const SandboxOptions& options);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_SANDBOX_H_
