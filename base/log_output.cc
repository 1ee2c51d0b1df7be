// SPDX-License-Identifier: Apache-2.0
#include "base/log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace base {

// A line is written in one call. A pipe takes up to PIPE_BUF bytes whole or not
// at all.
static_assert(LogOutput::kMaxLineBytes + 128 <= PIPE_BUF);

LogOutput::LogOutput(int fd) : fd_(fd) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) return;
  if (S_ISSOCK(info.st_mode)) method_ = Method::kSend;
  if (!S_ISFIFO(info.st_mode) && !S_ISCHR(info.st_mode)) return;
  // Opens the same pipe or device again, to set O_NONBLOCK on an open file that
  // no other process shares.
  own_ = UniqueFd(open(fmt::format("/proc/self/fd/{}", fd).c_str(),
                       O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!own_) method_ = Method::kPoll;
}

void LogOutput::WriteLine(std::string_view line) {
  const uint64_t lost = lost_.exchange(0);
  const bool cut = cut_.exchange(false);
  std::string text = cut ? "\n" : "";
  if (lost > 0) {
    text += fmt::format("vduse-net: warning: {} log lines lost\n", lost);
  }
  text += line.substr(0, kMaxLineBytes);
  text += line.size() > kMaxLineBytes ? "...\n" : "\n";
  const int64_t n = Put(text);
  if (n == static_cast<int64_t>(text.size())) return;
  lost_.fetch_add(lost + 1);
  if (cut || n > 0) cut_ = true;
}

int64_t LogOutput::Put(std::string_view text) {
  for (;;) {
    int64_t n = -1;
    switch (method_) {
      case Method::kWrite:
        n = write(own_ ? own_.get() : fd_, text.data(), text.size());
        break;
      case Method::kSend:
        n = send(fd_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
      case Method::kPoll:
        n = PutIfReady(text);
        break;
    }
    if (n >= 0 || errno != EINTR) return n;
  }
}

// poll() reports a pipe ready when it has room for PIPE_BUF bytes. The room is
// still there at write() unless another writer takes it; `busy_` keeps this
// process's own threads out.
int64_t LogOutput::PutIfReady(std::string_view text) {
  if (busy_.test_and_set()) {
    errno = EAGAIN;
    return -1;
  }
  pollfd ready = {.fd = fd_, .events = POLLOUT, .revents = 0};
  int64_t n = -1;
  if (poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0) {
    n = write(fd_, text.data(), text.size());
  } else {
    errno = EAGAIN;
  }
  const int error = errno;
  busy_.clear();
  errno = error;
  return n;
}

}  // namespace base
