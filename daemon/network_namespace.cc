// SPDX-License-Identifier: Apache-2.0
#include "daemon/network_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "base/unique_fd.h"

namespace program {
namespace {

constexpr char kOwn[] = "/proc/thread-self/ns/net";

base::UniqueFd OpenIfIs(const std::string& path, uint64_t inode) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0 || info.st_ino != inode) return {};
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  // The process may have ended meanwhile, and another may have its number.
  if (fd && (fstat(fd.get(), &info) != 0 || info.st_ino != inode)) return {};
  return fd;
}

base::UniqueFd FindNamespace(uint64_t inode) {
  // Errors are ignored: processes come and go while they are listed.
  std::error_code error;
  enum class Entries { kAll, kProcesses };
  const auto look = [&](const char* dir, const char* suffix, Entries entries) {
    base::UniqueFd found;
    std::filesystem::directory_iterator entry(dir, error);
    for (; !found && !error && entry != std::filesystem::directory_iterator();
         entry.increment(error)) {
      const std::string name = entry->path().filename();
      if (entries == Entries::kProcesses &&
          std::isdigit(static_cast<unsigned char>(name[0])) == 0) {
        continue;
      }
      found = OpenIfIs(entry->path().string() + suffix, inode);
    }
    return found;
  };
  base::UniqueFd found = look("/run/netns", "", Entries::kAll);
  if (!found) found = look("/proc", "/ns/net", Entries::kProcesses);
  return found;
}

}  // namespace

absl::Status InNamespace(uint64_t inode, const std::function<void()>& work) {
  struct stat own = {};
  if (inode == 0 || (stat(kOwn, &own) == 0 && own.st_ino == inode)) {
    work();
    return absl::OkStatus();
  }
  const base::UniqueFd back(open(kOwn, O_RDONLY | O_CLOEXEC));
  if (!back) return absl::ErrnoToStatus(errno, kOwn);
  const base::UniqueFd there = FindNamespace(inode);
  if (!there) {
    return absl::NotFoundError(
        fmt::format("no network namespace has the inode {}", inode));
  }
  if (setns(there.get(), CLONE_NEWNET) != 0) {
    return absl::ErrnoToStatus(errno, "setns");
  }
  work();
  // In the other namespace this process would work on the wrong interfaces.
  if (setns(back.get(), CLONE_NEWNET) != 0) _exit(EXIT_FAILURE);
  return absl::OkStatus();
}

}  // namespace program
