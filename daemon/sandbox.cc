// SPDX-License-Identifier: Apache-2.0
#include "daemon/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/securebits.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "base/unique_fd.h"
#include "daemon/landlock.h"

namespace program {
namespace {

using base::Log;
using base::Severity;

absl::Status Failed(const char* what) {
  return absl::ErrnoToStatus(errno, fmt::format("sandbox: {}", what));
}

// After this, files outside the process cannot grow, unless the log is one.
// There is no limit of processes: it would count those of the same user
// elsewhere, and Seal() forbids to start any.
absl::Status LimitResources(Role role) {
  const rlimit nothing = {.rlim_cur = 0, .rlim_max = 0};
  if (setrlimit(RLIMIT_CORE, &nothing) != 0) return Failed("RLIMIT_CORE");
  struct stat log = {};
  const bool log_grows =
      fstat(STDERR_FILENO, &log) == 0 && S_ISREG(log.st_mode);
  if (role == Role::kDevice && !log_grows &&
      setrlimit(RLIMIT_FSIZE, &nothing) != 0) {
    return Failed("RLIMIT_FSIZE");
  }
  return absl::OkStatus();
}

// Those that libcap-ng has read of this process.
uint64_t Capabilities() {
  uint64_t all = 0;
  for (unsigned number = 0; number <= CAP_LAST_CAP; ++number) {
    for (const capng_type_t set : {CAPNG_EFFECTIVE, CAPNG_PERMITTED}) {
      if (capng_have_capability(set, number) != 0) all |= 1ULL << number;
    }
  }
  return all;
}

// User 0 has no more rights than others, and cannot get any.
constexpr unsigned long kSecureBits =
    SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

}  // namespace

SandboxReport ReportWithoutSandbox() {
  capng_get_caps_process();
  return {.uid = geteuid(),
          .capabilities = Capabilities(),
          .no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
          .no_dumps = prctl(PR_GET_DUMPABLE) == 0};
}

std::vector<std::string> CapabilitiesOf(const SandboxReport& report) {
  std::vector<std::string> names;
  for (unsigned number = 0; number < 64; ++number) {
    if ((report.capabilities >> number & 1) == 0) continue;
    const char* name = capng_capability_to_name(number);
    names.push_back(name != nullptr ? name : std::to_string(number));
  }
  return names;
}

std::string Describe(const SandboxReport& report) {
  if (!report.on) return "sandbox: off";
  const std::vector<std::string> capabilities = CapabilitiesOf(report);
  return fmt::format(
      "sandbox: user {}, {}, {}, {}, {}, {}", report.uid,
      capabilities.empty()
          ? "no capabilities"
          : fmt::format("capabilities {}", fmt::join(capabilities, " ")),
      report.no_new_privs ? "no new privileges" : "new privileges possible",
      report.no_dumps ? "no dumps" : "dumps possible",
      report.filtered ? "system calls filtered" : "system calls not filtered",
      report.landlock_abi > 0 ? fmt::format("Landlock {}", report.landlock_abi)
                              : "no Landlock");
}

absl::StatusOr<Sandbox> Sandbox::Prepare(Role role,
                                         const SandboxOptions& options) {
  if (options.mode == SandboxOptions::Mode::kOff) {
    if (role == Role::kDevice) {
      Log(Severity::kWarning,
          "the sandbox is turned off: the processes have all of their "
          "starter's rights");
    }
    return Sandbox(role, options, {});
  }
  SandboxUser user;
  if (role == Role::kDevice) {
    const absl::StatusOr<SandboxUser> found = FindSandboxUser(options.user);
    if (!found.ok()) return found.status();
    user = *found;
  }
  if (user.is_default_missing) {
    Log(Severity::kWarning,
        "there is no user '{0}' in /etc/passwd: the device process runs as "
        "user {1}, as other programs may. `useradd --system {0}` makes the "
        "user",
        kDefaultSandboxUser, kNobody);
  }
  absl::StatusOr<SyscallFilter> filter = SyscallFilter::Make(
      role, options.io_uring,
      options.mode == SandboxOptions::Mode::kLog ? OnForbidden::kLog
                                                 : OnForbidden::kKill);
  if (!filter.ok()) return filter.status();
  Sandbox sandbox(role, options, user);
  sandbox.filter_.emplace(std::move(*filter));
  return sandbox;
}

absl::Status Sandbox::ChangeUser() const {
  if (setgroups(0, nullptr) != 0) return Failed("setgroups");
  if (role_ != Role::kDevice) return absl::OkStatus();
  if (setresgid(user_.gid, user_.gid, user_.gid) != 0) {
    return Failed("setresgid");
  }
  if (setresuid(user_.uid, user_.uid, user_.uid) != 0) {
    return Failed("setresuid");
  }
  return absl::OkStatus();
}

absl::Status Sandbox::DropCapabilities() {
  capng_clear(CAPNG_SELECT_ALL);
  if (role_ == Role::kAdministration) {
    constexpr auto kKept =
        static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED);
    capng_update(CAPNG_ADD, kKept, CAP_NET_ADMIN);
    // Events of the TAP's link in other network namespaces.
    capng_update(CAPNG_ADD, kKept, CAP_NET_BROADCAST);
    capng_update(CAPNG_ADD, kKept, CAP_SYS_ADMIN);  // setns()
  }
  // A process that is not root's has its own user already.
  if (geteuid() == 0) {
    if (capng_apply(CAPNG_SELECT_BOUNDS) != 0) {
      return Failed("the bounding set of capabilities");
    }
    if (prctl(PR_SET_SECUREBITS, kSecureBits) != 0) {
      return Failed("PR_SET_SECUREBITS");
    }
    if (absl::Status changed = ChangeUser(); !changed.ok()) return changed;
  }
  constexpr auto kSets =
      static_cast<capng_select_t>(CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT);
  if (capng_apply(kSets) != 0) return Failed("capabilities");
  capng_get_caps_process();
  report_.capabilities = Capabilities();
  return absl::OkStatus();
}

absl::Status Sandbox::Enter() {
  if (mode_ == SandboxOptions::Mode::kOff) {
    report_ = ReportWithoutSandbox();
    return absl::OkStatus();
  }
  // malloc would open a file to decide whether to shrink further arenas.
  if (role_ == Role::kDevice) mallopt(M_ARENA_MAX, 1);
  base::LogFd();  // opens the log's file
  if (absl::Status limited = LimitResources(role_); !limited.ok()) {
    return limited;
  }
  if (absl::Status dropped = DropCapabilities(); !dropped.ok()) return dropped;
  // A change of the user or of capabilities sets this to the host's default.
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return Failed("PR_SET_DUMPABLE");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Failed("PR_SET_NO_NEW_PRIVS");
  }
  if (role_ == Role::kDevice) {
    if (const absl::StatusOr<int> abi = LandlockAbi(); abi.ok()) {
      if (absl::Status in = EnterLandlock(*abi); !in.ok()) return in;
      report_.landlock_abi = *abi;
    }
  }
  report_.on = true;
  report_.uid = geteuid();
  report_.no_dumps = prctl(PR_GET_DUMPABLE) == 0;
  report_.no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
  if (role_ == Role::kDevice && report_.uid == 0) {
    return absl::PermissionDeniedError("sandbox: the process is still root");
  }
  return absl::OkStatus();
}

absl::Status Sandbox::Seal() {
  if (filter_) {
    if (absl::Status installed = filter_->Install(); !installed.ok()) {
      return installed;
    }
    report_.filtered = mode_ == SandboxOptions::Mode::kOn;
  }
  ShowAs(role_ == Role::kDevice ? SandboxBoard::Place::kStandby
                                : SandboxBoard::Place::kAdministration);
  return absl::OkStatus();
}

void Sandbox::ShowAs(SandboxBoard::Place place) const {
  if (board_ != nullptr) board_->Show(place, report_);
}

absl::StatusOr<SandboxReport> TrySandbox(const SandboxOptions& options) {
  absl::StatusOr<Sandbox> sandbox = Sandbox::Prepare(Role::kDevice, options);
  if (!sandbox.ok()) return sandbox.status();
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Failed("pipe");
  const base::UniqueFd from(ends[0]);
  base::UniqueFd to(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return Failed("fork");
  if (pid == 0) {
    absl::Status status = sandbox->Enter();
    if (status.ok()) status = sandbox->Seal();
    if (!status.ok()) _exit(EXIT_FAILURE);
    const SandboxReport report = sandbox->report();
    [[maybe_unused]] const ssize_t n = write(to.get(), &report, sizeof(report));
    _exit(EXIT_SUCCESS);
  }
  to.Reset();
  SandboxReport report;
  const bool whole = read(from.get(), &report, sizeof(report)) ==
                     static_cast<ssize_t>(sizeof(report));
  waitpid(pid, nullptr, 0);
  if (whole) return report;
  return absl::InternalError("the sandbox does not work on this host");
}

}  // namespace program
