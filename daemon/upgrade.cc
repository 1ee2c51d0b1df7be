// SPDX-License-Identifier: Apache-2.0
#include "daemon/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/parse_number.h"
#include "base/text_file.h"
#include "daemon/child_process.h"
#include "daemon/fd_message.h"
#include "state/state_file.h"

namespace program {
namespace {

using std::chrono::milliseconds;

// Names the descriptor of the socket to the supervisor.
constexpr char kVariable[] = "VDUSE_NET_SUCCEEDS";

// The version of the messages below and of those of hand_over.h. It is the
// first member of a message in every release.
constexpr uint32_t kVersion = 1;

struct Message {
  uint32_t version = kVersion;
};

// How long Upgrade() waits.
constexpr milliseconds kPatience(15'000);
constexpr milliseconds kPause(20);

std::vector<std::string> Arguments() {
  std::vector<std::string> arguments;
  const absl::StatusOr<std::string> text = base::ReadFile("/proc/self/cmdline");
  if (!text.ok()) return arguments;
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\0', at), text->size());
    arguments.push_back(text->substr(at, end - at));
    at = end + 1;
  }
  return arguments;
}

// Executes `path`, which inherits the descriptor `fd`.
[[noreturn]] void Execute(const std::string& path,
                          const std::vector<std::string>& arguments, int fd) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& text : arguments) {
    argv.push_back(const_cast<char*>(text.c_str()));
  }
  argv.push_back(nullptr);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, SIG_DFL);
  fcntl(fd, F_SETFD, 0);
  setenv(kVariable, std::to_string(fd).c_str(), 1);
  execv(path.c_str(), argv.data());
  _exit(127);
}

}  // namespace

absl::StatusOr<NewProgram> NewProgram::Start(const std::string& path) {
  const std::vector<std::string> arguments = Arguments();
  if (arguments.empty()) {
    return absl::InternalError("the arguments of this process are unknown");
  }
  absl::StatusOr<SocketPair> sockets = MakeSocketPair();
  if (!sockets.ok()) return sockets.status();
  const absl::StatusOr<pid_t> pid =
      StartChild({.name = "vduse-net", .keep = {sockets->theirs.get()}},
                 [&] { Execute(path, arguments, sockets->theirs.get()); });
  if (!pid.ok()) return pid.status();
  const Message greeting;
  SendMessage(sockets->ours.get(), std::as_bytes(std::span(&greeting, 1)), {},
              IfFull::kFail);
  return NewProgram(*pid, std::move(sockets->ours));
}

absl::Status NewProgram::Ready() {
  Message answer;
  return ReceiveMessage(socket_.get(),
                        std::as_writable_bytes(std::span(&answer, 1)),
                        IfEmpty::kFail)
      .status();
}

void NewProgram::Kill() const { kill(pid_, SIGKILL); }

bool ReplacesSupervisor() { return getenv(kVariable) != nullptr; }

absl::Status AwaitTurn() {
  const char* const text = getenv(kVariable);
  if (text == nullptr) return absl::OkStatus();
  const std::optional<int> fd = base::ParseNumber<int>(text);
  if (!fd || *fd <= STDERR_FILENO) {
    return absl::InvalidArgumentError(
        fmt::format("{} is no descriptor: {}", kVariable, text));
  }
  unsetenv(kVariable);
  const base::UniqueFd socket(*fd);
  Message message;
  const auto bytes = std::as_writable_bytes(std::span(&message, 1));
  const auto greeting = ReceiveMessage(socket.get(), bytes, IfEmpty::kWait);
  if (!greeting.ok() || message.version != kVersion) {
    return absl::FailedPreconditionError(
        "the process to be replaced is of a release that this one does not "
        "know");
  }
  if (!SendMessage(socket.get(), bytes, {}, IfFull::kFail)) {
    return absl::UnavailableError("the process to be replaced has ended");
  }
  // Until the supervisor ends.
  while (ReceiveMessage(socket.get(), bytes, IfEmpty::kWait).ok()) {
  }
  return absl::OkStatus();
}

std::string ProgramPath() {
  std::array<char, 4096> path{};
  const ssize_t n = readlink("/proc/self/exe", path.data(), path.size());
  return n > 0 ? std::string(path.data(), static_cast<size_t>(n)) : "";
}

absl::StatusOr<pid_t> Upgrade(const std::string& state_dir,
                              const std::string& name) {
  const std::optional<pid_t> before = state::StateFile::Owner(state_dir, name);
  if (!before) {
    return absl::NotFoundError(
        fmt::format("no process serves a device '{}': see --state-dir", name));
  }
  if (kill(*before, SIGHUP) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("SIGHUP to {}", *before));
  }
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < end) {
    const std::optional<pid_t> now = state::StateFile::Owner(state_dir, name);
    if (now && *now != *before) return *now;
    std::this_thread::sleep_for(kPause);
  }
  return absl::FailedPreconditionError(fmt::format(
      "process {} goes on serving '{}': its log says why", *before, name));
}

}  // namespace program
