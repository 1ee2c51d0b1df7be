// SPDX-License-Identifier: Apache-2.0
#include "daemon/device_holders.h"

#include <errno.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>

#include "base/parse_number.h"
#include "base/pidfd.h"
#include "base/unique_fd.h"

namespace program {
namespace {

// More threads than that are not told one by one.
constexpr size_t kMaxThreads = 4;

// The names of what is in a directory; none if it cannot be read.
std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(directory, error), end;
       !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename());
  }
  return names;
}

// The entries of a directory whose names are numbers.
std::vector<pid_t> NumbersIn(const std::string& directory) {
  std::vector<pid_t> numbers;
  for (const std::string& name : NamesIn(directory)) {
    const auto number = base::ParseNumber<pid_t>(name);
    if (number) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string NameOf(pid_t pid) {
  return FirstLine(fmt::format("/proc/{}/comm", pid));
}

bool HasOpen(pid_t pid, const std::string& path) {
  const std::string directory = fmt::format("/proc/{}/fd/", pid);
  const std::vector<std::string> fds = NamesIn(directory);
  return std::any_of(fds.begin(), fds.end(), [&](const std::string& fd) {
    std::error_code error;
    return std::filesystem::read_symlink(directory + fd, error) == path;
  });
}

// The letter of /proc/PID/task/TID/stat, which follows the name in parentheses.
char StateOf(const std::string& task) {
  const std::string stat = FirstLine(task + "/stat");
  const size_t end = stat.rfind(") ");
  return end == std::string::npos || end + 2 >= stat.size() ? '?'
                                                            : stat[end + 2];
}

}  // namespace

std::vector<Holder> HoldersOf(const std::string& path) {
  std::vector<Holder> holders;
  for (const pid_t pid : NumbersIn("/proc")) {
    if (pid == getpid() || !HasOpen(pid, path)) continue;
    holders.push_back({.pid = pid, .name = NameOf(pid)});
  }
  return holders;
}

absl::StatusOr<std::vector<pid_t>> KillServing(const std::string& path) {
  std::vector<pid_t> killed;
  for (const Holder& holder : HoldersOf(path)) {
    const base::UniqueFd process = base::OpenPidfd(holder.pid);
    if (!process) {
      if (errno == ESRCH) continue;
      return absl::ErrnoToStatus(errno, "pidfd_open");
    }
    if (!HasOpen(holder.pid, path)) continue;
    if (NameOf(holder.pid) != kServingName) {
      return absl::FailedPreconditionError(
          fmt::format("process {} ('{}') has {} open, and is not one of this "
                      "program",
                      holder.pid, holder.name, path));
    }
    if (!base::SendSignal(process, SIGKILL)) {
      if (errno == ESRCH) continue;
      return absl::ErrnoToStatus(errno,
                                 fmt::format("kill process {}", holder.pid));
    }
    killed.push_back(holder.pid);
  }
  return killed;
}

std::string WhereItWaits(pid_t pid) {
  const std::string tasks = fmt::format("/proc/{}/task", pid);
  std::string text;
  size_t told = 0;
  for (const pid_t thread : NumbersIn(tasks)) {
    const std::string task = fmt::format("{}/{}", tasks, thread);
    const char state = StateOf(task);
    if (state == 'Z' || state == 'X') continue;
    if (++told > kMaxThreads) return text + ", and others";
    const std::string where = FirstLine(task + "/wchan");
    text += fmt::format(
        "{}thread {} ({}) {}", text.empty() ? "" : ", ", thread, state,
        where.empty() || where == "0" ? "somewhere" : "in " + where);
  }
  return text;
}

}  // namespace program
