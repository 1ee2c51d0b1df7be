// SPDX-License-Identifier: Apache-2.0
//
// Kills the process that serves a device while it serves what a command causes:
//   kill_serving PID request TYPE[:STATUS] COMMAND [ARGS...]
//   kill_serving PID answer TYPE[:STATUS] COMMAND [ARGS...]
//   kill_serving PID kick COMMAND [ARGS...]
//   kill_serving PID line TEXT COMMAND [ARGS...]
// Starts COMMAND. Kills PID, by SIGKILL, at a moment of its main thread:
//   request  it has read a request of the kernel of that TYPE (and status), and
//            has done nothing about it
//   answer   it has done what such a request asks for, and is about to answer
//   kick     its first system call after it has read a kick: the control
//            queue's command has been taken and not been answered
//   line     it is about to log a line that contains TEXT
// Then waits for COMMAND, and prints how long that took. Exit status: that of
// COMMAND. SIGALRM ends this after 20 seconds, or 3 seconds after COMMAND if
// there was no such moment.
#include <fmt/format.h>
#include <linux/vduse.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
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
  enum class Kind : uint8_t { kRequest, kAnswer, kKick, kLine };
  Kind kind = Kind::kKick;
  uint32_t type = 0;
  std::optional<uint8_t> status;
  std::string line;
};
using Kind = Moment::Kind;

user_regs_struct RegistersOf(pid_t pid) {
  user_regs_struct registers = {};
  if (ptrace(PTRACE_GETREGS, pid, nullptr, &registers) != 0) {
    DieErrno("GETREGS");
  }
  return registers;
}

// Reads `size` bytes of the thread's memory; nothing if it has not that many.
bool ReadMemory(pid_t pid, uint64_t address, void* to, size_t size) {
  iovec local = {.iov_base = to, .iov_len = size};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a register of another process
  iovec remote = {.iov_base = reinterpret_cast<void*>(address),
                  .iov_len = size};
  return process_vm_readv(pid, &local, 1, &remote, 1, 0) ==
         static_cast<ssize_t>(size);
}

// Follows the thread from system call to system call.
class Follower {
 public:
  Follower(pid_t pid, const Moment& moment) : pid_(pid), moment_(moment) {}

  // At the begin or the end of a system call: whether the moment is there.
  bool IsThere() {
    inside_ = !inside_;
    const user_regs_struct registers = RegistersOf(pid_);
    return inside_ ? BeginIsThere(registers) : EndIsThere(registers);
  }

 private:
  bool BeginIsThere(const user_regs_struct& registers) {
    switch (moment_.kind) {
      case Kind::kRequest:
        return false;
      case Kind::kAnswer:
        return ready_ && registers.orig_rax == SYS_write &&
               registers.rdx == sizeof(vduse_dev_response);
      case Kind::kKick:
        return ready_;
      case Kind::kLine:
        return Logs(registers);
    }
    return false;
  }

  bool EndIsThere(const user_regs_struct& registers) {
    if (registers.orig_rax != SYS_read) return false;
    switch (moment_.kind) {
      case Kind::kRequest:
        return HasRead(registers);
      case Kind::kAnswer:
        ready_ = ready_ || HasRead(registers);
        return false;
      case Kind::kKick:
        ready_ = registers.rax == sizeof(uint64_t);
        return false;
      case Kind::kLine:
        return false;
    }
    return false;
  }

  // Whether it has just read such a request.
  bool HasRead(const user_regs_struct& registers) const {
    vduse_dev_request request = {};
    return registers.rax == sizeof(request) &&
           ReadMemory(pid_, registers.rsi, &request, sizeof(request)) &&
           request.type == moment_.type &&
           (!moment_.status || request.s.status == *moment_.status);
  }

  bool Logs(const user_regs_struct& registers) const {
    if (registers.orig_rax != SYS_write && registers.orig_rax != SYS_sendto) {
      return false;
    }
    std::string text(std::min<uint64_t>(registers.rdx, 4096), '\0');
    return ReadMemory(pid_, registers.rsi, text.data(), text.size()) &&
           text.find(moment_.line) != std::string::npos;
  }

  const pid_t pid_;
  const Moment moment_;
  bool inside_ = false;  // a system call
  bool ready_ = false;   // what precedes the moment has happened
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
  Follower follower(pid, moment);
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
    if (call && follower.IsThere()) {
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

// The moment that is named by WHAT and what follows it.
std::optional<Moment> ParseMoment(const std::string& what, const char* value) {
  Moment moment;
  if (what == "kick") return moment;
  if (what == "line") {
    moment.kind = Kind::kLine;
    moment.line = value;
    return moment;
  }
  if (what != "request" && what != "answer") return std::nullopt;
  moment.kind = what == "request" ? Kind::kRequest : Kind::kAnswer;
  const std::string type = value;
  moment.type = static_cast<uint32_t>(std::stoul(type));
  if (const size_t colon = type.find(':'); colon != std::string::npos) {
    moment.status = static_cast<uint8_t>(std::stoul(type.substr(colon + 1)));
  }
  return moment;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 3 ? argv[2] : "";
  const int first = what == "kick" ? 3 : 4;
  std::optional<Moment> moment;
  if (argc > first) moment = ParseMoment(what, argv[3]);
  if (!moment) {
    Die("usage: kill_serving PID request|answer TYPE[:STATUS] COMMAND "
        "[ARGS...], or kill_serving PID kick COMMAND [ARGS...], or "
        "kill_serving PID line TEXT COMMAND [ARGS...]");
  }
  // Its default action ends this, and the thread goes on.
  alarm(kSeconds);
  return Run(std::stoi(argv[1]), *moment, argv + first);
}
