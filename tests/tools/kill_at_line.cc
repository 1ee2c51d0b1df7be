// SPDX-License-Identifier: Apache-2.0
//
// Kills a command while a process is at a certain point:
//   kill_at_line PID TEXT COMMAND [ARGS...]
// Starts COMMAND, and stops the thread PID when it is about to write a line
// that contains TEXT, to any descriptor. At that time COMMAND waits in the
// kernel for an answer from PID. Kills COMMAND, and lets PID continue once
// COMMAND no longer waits. COMMAND may still exist then, because the kernel may
// have more to do for it before it ends. Status 1 if the command ends by itself
// before it is killed; ended by SIGALRM after 20 seconds.
#include <fmt/format.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

#include "tests/tools/flags.h"

namespace {

using tools::Die;
using tools::DieErrno;

constexpr unsigned kSeconds = 20;

void Resume(pid_t pid, int signal) {
  if (ptrace(PTRACE_SYSCALL, pid, nullptr, signal) != 0) DieErrno("SYSCALL");
}

// Whether the thread, stopped as it enters a system call, writes `text`.
bool Writes(pid_t pid, std::string_view text) {
  user_regs_struct regs = {};
  if (ptrace(PTRACE_GETREGS, pid, nullptr, &regs) != 0) DieErrno("GETREGS");
  if (regs.orig_rax != SYS_write && regs.orig_rax != SYS_sendto) return false;
  std::string written(std::min<uint64_t>(regs.rdx, 4096), '\0');
  iovec local = {.iov_base = written.data(), .iov_len = written.size()};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a register of another process
  iovec remote = {.iov_base = reinterpret_cast<void*>(regs.rsi),
                  .iov_len = written.size()};
  const ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
  return n > 0 && written.find(text) != std::string::npos;
}

// The next stop, or status, of the thread or of the command.
int Await(pid_t pid, pid_t command) {
  for (;;) {
    int status = 0;
    const pid_t who = waitpid(-1, &status, __WALL);
    if (who < 0) DieErrno("waitpid");
    if (who == command) {
      fmt::print(stderr, "the command ended, status {}\n", status);
      _exit(1);
    }
    if (who == pid) return status;
  }
}

// Whether a process waits in the kernel for what only SIGKILL can interrupt.
bool Waits(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string stat;
  std::getline(file, stat);
  return stat.find(") D ") != std::string::npos;
}

void KillWaiting(pid_t pid) {
  while (!Waits(pid)) usleep(1000);
  kill(pid, SIGKILL);
  while (Waits(pid)) usleep(1000);
  // It has been woken; now it takes back its question.
  usleep(100'000);
}

void KillAtLine(pid_t pid, std::string_view text, char** command) {
  if (ptrace(PTRACE_SEIZE, pid, nullptr, PTRACE_O_TRACESYSGOOD) != 0 ||
      ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) != 0) {
    DieErrno("ptrace");
  }
  const pid_t child = fork();
  if (child < 0) DieErrno("fork");
  if (child == 0) {
    execvp(command[0], command);
    _exit(127);
  }
  for (;;) {
    const int status = Await(pid, child);
    if (!WIFSTOPPED(status)) Die("{} ended", pid);
    const int signal = WSTOPSIG(status);
    if (signal == (SIGTRAP | 0x80)) {
      if (Writes(pid, text)) break;
      Resume(pid, 0);
    } else {
      Resume(pid, status >> 16 == PTRACE_EVENT_STOP ? 0 : signal);
    }
  }
  KillWaiting(child);
  if (ptrace(PTRACE_DETACH, pid, nullptr, nullptr) != 0) DieErrno("DETACH");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) Die("usage: kill_at_line PID TEXT COMMAND [ARGS...]");
  // Its default action ends this, and the thread goes on.
  alarm(kSeconds);
  KillAtLine(std::stoi(argv[1]), argv[2], argv + 3);
  return 0;
}
