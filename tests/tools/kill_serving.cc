// SPDX-License-Identifier: Apache-2.0
//
// Kills the process that serves a device while it serves what a command causes:
//   kill_serving PID request TYPE[:STATUS] COMMAND [ARGS...]
//   kill_serving PID kick COMMAND [ARGS...]
// Starts COMMAND. Kills PID, by SIGKILL, when its main thread has read a
// request of the kernel of that TYPE (and status) and has not answered it; or
// at its first system call after it has read a kick, when the control queue's
// command has been taken and not been answered. Then waits for COMMAND, and
// prints how long that took. Exit status: that of COMMAND. SIGALRM ends this
// after 20 seconds, or 3 seconds after COMMAND if there was no such request or
// kick.
#include <fmt/format.h>
#include <linux/vduse.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "tests/tools/flags.h"

namespace {

using tools::Die;
using tools::DieErrno;

constexpr unsigned kSeconds = 20;
constexpr unsigned kSecondsLater = 3;

// What the thread has to do before it is killed.
struct Moment {
  bool kick = false;
  uint32_t type = 0;
  std::optional<uint8_t> status;
};

user_regs_struct RegistersOf(pid_t pid) {
  user_regs_struct registers = {};
  if (ptrace(PTRACE_GETREGS, pid, nullptr, &registers) != 0) {
    DieErrno("GETREGS");
  }
  return registers;
}

// The request that the thread has just read, if it has read one.
std::optional<vduse_dev_request> RequestRead(
    pid_t pid, const user_regs_struct& registers) {
  vduse_dev_request request = {};
  if (registers.rax != sizeof(request)) return std::nullopt;
  iovec local = {.iov_base = &request, .iov_len = sizeof(request)};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a register of another process
  iovec remote = {.iov_base = reinterpret_cast<void*>(registers.rsi),
                  .iov_len = sizeof(request)};
  if (process_vm_readv(pid, &local, 1, &remote, 1, 0) != sizeof(request)) {
    return std::nullopt;
  }
  return request;
}

// Follows the thread from system call to system call.
class Follower {
 public:
  explicit Follower(const Moment& moment) : moment_(moment) {}

  // At the begin or the end of a system call: whether the moment is there.
  bool IsThere(pid_t pid) {
    inside_ = !inside_;
    const user_regs_struct registers = RegistersOf(pid);
    if (moment_.kick) {
      if (inside_) return kicked_;
      kicked_ =
          registers.orig_rax == SYS_read && registers.rax == sizeof(uint64_t);
      return false;
    }
    if (inside_ || registers.orig_rax != SYS_read) return false;
    const auto request = RequestRead(pid, registers);
    return request && request->type == moment_.type &&
           (!moment_.status || request->s.status == *moment_.status);
  }

 private:
  const Moment moment_;
  bool inside_ = false;  // a system call
  bool kicked_ = false;
};

pid_t Start(char** command) {
  const pid_t child = fork();
  if (child < 0) DieErrno("fork");
  if (child == 0) {
    execvp(command[0], command);
    _exit(127);
  }
  return child;
}

// Follows `pid` until it is killed. Sets `command_status` if the command ends
// before.
void Follow(pid_t pid, pid_t command, const Moment& moment,
            std::optional<int>& command_status) {
  Follower follower(moment);
  for (;;) {
    int status = 0;
    const pid_t who = waitpid(-1, &status, __WALL);
    if (who < 0) DieErrno("waitpid");
    if (who == command) {
      // The driver may send the command a little later.
      command_status = status;
      alarm(kSecondsLater);
      continue;
    }
    if (who != pid) continue;
    if (!WIFSTOPPED(status)) Die("{} has ended", pid);
    const int signal = WSTOPSIG(status);
    const bool call = signal == (SIGTRAP | 0x80);
    if (call && follower.IsThere(pid)) {
      kill(pid, SIGKILL);
      // Its parent learns of the end once its tracer has.
      waitpid(pid, &status, __WALL);
      return;
    }
    const bool event = status >> 16 != 0;
    ptrace(PTRACE_SYSCALL, pid, nullptr, call || event ? 0 : signal);
  }
}

int Run(pid_t pid, const Moment& moment, char** command) {
  if (ptrace(PTRACE_SEIZE, pid, nullptr, PTRACE_O_TRACESYSGOOD) != 0 ||
      ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) != 0) {
    DieErrno("ptrace");
  }
  const pid_t child = Start(command);
  std::optional<int> ended;
  Follow(pid, child, moment, ended);
  const auto killed = std::chrono::steady_clock::now();
  int status = ended.value_or(0);
  while (!ended && waitpid(child, &status, 0) != child) {
  }
  fmt::print("ms={}\n", std::chrono::duration_cast<std::chrono::milliseconds>(
                            std::chrono::steady_clock::now() - killed)
                            .count());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[2] : "";
  const int first = what == "request" ? 4 : 3;
  if (argc <= first || (what != "request" && what != "kick")) {
    Die("usage: kill_serving PID request TYPE[:STATUS] COMMAND [ARGS...], or "
        "kill_serving PID kick COMMAND [ARGS...]");
  }
  Moment moment{.kick = what == "kick", .status = std::nullopt};
  if (!moment.kick) {
    const std::string type = argv[3];
    moment.type = static_cast<uint32_t>(std::stoul(type));
    if (const size_t colon = type.find(':'); colon != std::string::npos) {
      moment.status = static_cast<uint8_t>(std::stoul(type.substr(colon + 1)));
    }
  }
  // Its default action ends this, and the thread goes on.
  alarm(kSeconds);
  return Run(std::stoi(argv[1]), moment, argv + first);
}
