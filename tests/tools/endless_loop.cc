// SPDX-License-Identifier: Apache-2.0
//
// Sends a thread of another process into an endless loop:
//   endless_loop PID THREAD_NAME
// The loop is a jump to itself, two bytes that every larger program has
// somewhere in its code by chance. Nothing of the process is changed but the
// thread's instruction pointer. Exit status: 0, or 2 with the reason.
#include <fmt/format.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "tests/tools/flags.h"

namespace {

using tools::Die;
using tools::DieErrno;

constexpr std::string_view kLoop = "\xeb\xfe";  // jmp to itself

pid_t ThreadOf(pid_t pid, const std::string& name) {
  for (const auto& entry :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
    std::string comm;
    std::ifstream file(entry.path() / "comm");
    if (std::getline(file, comm) && comm == name) {
      return std::stoi(entry.path().filename());
    }
  }
  Die("process {} has no thread '{}'", pid, name);
}

// Where such a jump is in one of the process's mappings of code.
uint64_t FindLoop(pid_t pid) {
  std::ifstream maps(fmt::format("/proc/{}/maps", pid));
  for (std::string line; std::getline(maps, line);) {
    if (line.find(" r-xp ") == std::string::npos) continue;
    size_t end = 0;
    const uint64_t first = std::stoull(line, &end, 16);
    const uint64_t last = std::stoull(line.substr(end + 1), nullptr, 16);
    std::string code(last - first, '\0');
    iovec local = {.iov_base = code.data(), .iov_len = code.size()};
    // NOLINTNEXTLINE(performance-no-int-to-ptr): of another process
    iovec remote = {.iov_base = reinterpret_cast<void*>(first),
                    .iov_len = code.size()};
    if (process_vm_readv(pid, &local, 1, &remote, 1, 0) !=
        static_cast<ssize_t>(code.size())) {
      continue;
    }
    const size_t found = code.find(kLoop);
    if (found != std::string::npos) return first + found;
  }
  Die("process {} has no such jump in its code", pid);
}

void SendTo(pid_t thread, uint64_t address) {
  if (ptrace(PTRACE_SEIZE, thread, nullptr, nullptr) != 0 ||
      ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr) != 0 ||
      waitpid(thread, nullptr, __WALL) != thread) {
    DieErrno("ptrace");
  }
  user_regs_struct registers = {};
  if (ptrace(PTRACE_GETREGS, thread, nullptr, &registers) != 0) {
    DieErrno("GETREGS");
  }
  registers.rip = address;
  // A system call that was interrupted is not to be started again: that would
  // move the instruction pointer.
  registers.orig_rax = UINT64_MAX;
  if (ptrace(PTRACE_SETREGS, thread, nullptr, &registers) != 0) {
    DieErrno("SETREGS");
  }
  if (ptrace(PTRACE_DETACH, thread, nullptr, nullptr) != 0) DieErrno("DETACH");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) Die("usage: endless_loop PID THREAD_NAME");
  const pid_t pid = std::stoi(argv[1]);
  const pid_t thread = ThreadOf(pid, argv[2]);
  const uint64_t address = FindLoop(pid);
  SendTo(thread, address);
  fmt::print("thread {} loops at {:#x}\n", thread, address);
  return 0;
}
