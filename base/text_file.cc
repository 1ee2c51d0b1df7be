// SPDX-License-Identifier: Apache-2.0
#include "base/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "base/status_text.h"
#include "base/unique_fd.h"

namespace base {
namespace {

absl::Status WriteAll(int fd, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, "write");
    done += static_cast<size_t>(n);
  }
  if (fsync(fd) != 0) return absl::ErrnoToStatus(errno, "fsync");
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteFile(const std::string& path, const std::string& text) {
  struct stat info = {};
  if (lstat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(fmt::format(
        "{} exists and is not a regular file: choose another name", path));
  }
  // mkostemp makes a unique file, which only its owner may read and write.
  std::string unfinished = path + ".XXXXXX";
  const base::UniqueFd fd(mkostemp(unfinished.data(), O_CLOEXEC));
  if (!fd) {
    return absl::ErrnoToStatus(errno, "cannot create a file beside " + path);
  }
  absl::Status status = WriteAll(fd.get(), text);
  if (status.ok() && rename(unfinished.c_str(), path.c_str()) != 0) {
    status = absl::ErrnoToStatus(errno, "rename");
  }
  if (status.ok()) return status;
  unlink(unfinished.c_str());
  return absl::Status(status.code(),
                      fmt::format("{}: {}", path, base::Text(status)));
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  // Without O_NONBLOCK, opening a FIFO waits for its writer.
  const base::UniqueFd fd(
      open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) return absl::ErrnoToStatus(errno, "open " + path);
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) {
    return absl::ErrnoToStatus(errno, "stat " + path);
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(path + " is not a regular file");
  }
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
    if (n < 0) return absl::ErrnoToStatus(errno, "read " + path);
    if (n == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(n));
    if (text.size() > kMaxTextFileBytes) {
      return absl::InvalidArgumentError(
          fmt::format("{} has more than {} bytes", path, kMaxTextFileBytes));
    }
  }
}

}  // namespace base
