// SPDX-License-Identifier: Apache-2.0
#include "daemon/syscall_filter.h"

#include <errno.h>
#include <fmt/format.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "base/log.h"
#include "base/status_text.h"
#include "base/unique_fd.h"

namespace program {
namespace {

using Context = std::unique_ptr<void, decltype(&seccomp_release)>;

absl::Status Failed(int error, const std::string& what) {
  return absl::ErrnoToStatus(error, what);
}

absl::Status Add(scmp_filter_ctx context, const SyscallRule& rule) {
  const int number = seccomp_syscall_resolve_name(rule.call);
  if (number == __NR_SCMP_ERROR) {
    return absl::InternalError(
        fmt::format("libseccomp does not know the system call {}", rule.call));
  }
  // Other processors lack some of the calls.
  if (number < 0) return absl::OkStatus();
  std::vector<scmp_arg_cmp> checks;
  for (const ArgumentCheck& check : rule.checks) {
    checks.push_back({.arg = check.argument,
                      .op = SCMP_CMP_MASKED_EQ,
                      .datum_a = check.mask,
                      .datum_b = check.value});
  }
  const int rc = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, number,
                                        static_cast<unsigned>(checks.size()),
                                        checks.data());
  if (rc == 0 || rc == -EEXIST) return absl::OkStatus();
  return Failed(-rc, fmt::format("rule '{}'", Describe(rule)));
}

// Compiles a filter into `file`.
absl::Status Compile(Role role, bool io_uring, OnForbidden on_forbidden,
                     int file) {
  const Context context(
      seccomp_init(on_forbidden == OnForbidden::kKill ? SCMP_ACT_KILL_PROCESS
                                                      : SCMP_ACT_LOG),
      &seccomp_release);
  if (!context) return absl::InternalError("seccomp_init");
  // Calls of other ABIs, for programs of 32 bits and x32.
  int rc = seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH,
                            SCMP_ACT_KILL_PROCESS);
  // The most frequent call of those whose arguments are checked. The kernel
  // remembers which calls are allowed with any arguments.
  if (rc == 0) {
    rc = seccomp_syscall_priority(context.get(), SCMP_SYS(ioctl), UINT8_MAX);
  }
  if (rc != 0) return Failed(-rc, "set-up of the filter of system calls");
  for (const SyscallRule& rule : RulesFor(role, io_uring)) {
    if (absl::Status added = Add(context.get(), rule); !added.ok()) {
      return added;
    }
  }
  rc = seccomp_export_bpf(context.get(), file);
  return rc == 0 ? absl::OkStatus() : Failed(-rc, "seccomp_export_bpf");
}

// The instructions in `file`.
absl::StatusOr<std::vector<sock_filter>> Load(int file) {
  const off_t bytes = lseek(file, 0, SEEK_END);
  std::vector<sock_filter> program(static_cast<size_t>(bytes) /
                                   sizeof(sock_filter));
  if (bytes <= 0 ||
      pread(file, program.data(), static_cast<size_t>(bytes), 0) != bytes) {
    return absl::InternalError("the filter of system calls cannot be read");
  }
  return program;
}

}  // namespace

// A child process compiles: the memory that compiling takes is not given back
// whole, and each process of each device would keep the rest.
absl::StatusOr<SyscallFilter> SyscallFilter::Make(Role role, bool io_uring,
                                                  OnForbidden on_forbidden) {
  const base::UniqueFd file(memfd_create("filter", MFD_CLOEXEC));
  if (!file) return Failed(errno, "memfd_create");
  const pid_t pid = fork();
  if (pid < 0) return Failed(errno, "fork");
  if (pid == 0) {
    const absl::Status compiled =
        Compile(role, io_uring, on_forbidden, file.get());
    if (!compiled.ok()) {
      base::Log(base::Severity::kError, "{}", base::Text(compiled));
    }
    _exit(compiled.ok() ? EXIT_SUCCESS : EXIT_FAILURE);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS) {
    return absl::InternalError("the filter of system calls cannot be compiled");
  }
  absl::StatusOr<std::vector<sock_filter>> program = Load(file.get());
  if (!program.ok()) return program.status();
  return SyscallFilter(std::move(*program));
}

absl::Status SyscallFilter::Install() {
  const auto own = static_cast<uint32_t>(getpid());
  for (sock_filter& instruction : program_) {
    const bool compares = instruction.code == (BPF_JMP | BPF_JEQ | BPF_K);
    if (compares && instruction.k == SyscallRule::kOwnPid) instruction.k = own;
  }
  const sock_fprog program = {.len = static_cast<uint16_t>(program_.size()),
                              .filter = program_.data()};
  const long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                          SECCOMP_FILTER_FLAG_TSYNC, &program);
  if (rc == 0) return absl::OkStatus();
  if (rc > 0) {
    return absl::InternalError(
        fmt::format("thread {} has another filter of system calls", rc));
  }
  return Failed(errno, "seccomp");
}

}  // namespace program
