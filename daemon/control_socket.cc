// SPDX-License-Identifier: Apache-2.0
#include "daemon/control_socket.h"

#include <errno.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>
#include <vector>

#include "base/status_text.h"

namespace program {
namespace {

// Per Serve(), so that askers cannot keep the caller from its work.
constexpr int kBudget = 16;
constexpr int kAskTimeoutMs = 2000;
constexpr char kOk[] = "ok\n";
constexpr char kError[] = "error\n";

std::string PathOf(const std::string& dir, const std::string& name) {
  return dir + "/" + name + ".sock";
}

absl::StatusOr<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        fmt::format("{}: longer than a socket's name may be ({} bytes)", path,
                    sizeof(address.sun_path) - 1));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

absl::StatusOr<base::UniqueFd> Bind(const std::string& path) {
  const absl::StatusOr<sockaddr_un> address = AddressOf(path);
  if (!address.ok()) return address.status();
  base::UniqueFd fd(
      socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return absl::ErrnoToStatus(errno, "socket");
  unlink(path.c_str());
  // The mode is the socket's before anybody can see it.
  if (fchmod(fd.get(), 0600) != 0 ||
      bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address),
           sizeof(*address)) != 0) {
    return absl::ErrnoToStatus(errno, "bind " + path);
  }
  return fd;
}

}  // namespace

absl::StatusOr<ControlSocket> ControlSocket::Open(const std::string& dir,
                                                  const std::string& name) {
  std::string path = PathOf(dir, name);
  absl::StatusOr<base::UniqueFd> fd = Bind(path);
  if (!fd.ok()) return fd.status();
  return ControlSocket(std::move(path), std::move(*fd));
}

ControlSocket::ControlSocket(ControlSocket&& other) noexcept
    : path_(std::exchange(other.path_, "")), fd_(std::move(other.fd_)) {}

ControlSocket::~ControlSocket() {
  if (!path_.empty()) unlink(path_.c_str());
}

void ControlSocket::Serve(const Handler& handler) {
  std::vector<char> buffer(kMaxBytes);
  for (int i = 0; i < kBudget; ++i) {
    sockaddr_un from = {};
    socklen_t from_size = sizeof(from);
    const ssize_t n =
        recvfrom(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                 reinterpret_cast<sockaddr*>(&from), &from_size);
    if (n < 0) return;
    if (from_size <= sizeof(from.sun_family)) continue;  // nowhere to answer
    const absl::StatusOr<std::string> result =
        handler(std::string(buffer.data(), static_cast<size_t>(n)));
    const std::string answer =
        result.ok() ? kOk + *result : kError + base::Text(result.status());
    sendto(fd_.get(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&from), from_size);
  }
}

absl::StatusOr<std::string> ControlSocket::Ask(const std::string& dir,
                                               const std::string& name,
                                               const std::string& request) {
  const std::string path = PathOf(dir, name);
  const absl::StatusOr<sockaddr_un> to = AddressOf(path);
  if (!to.ok()) return to.status();
  const absl::Status nobody = absl::NotFoundError(
      fmt::format("nobody serves a device '{}' here (no process at {}): name "
                  "it with --name, its --state-dir as it was started",
                  name, path));
  if (access(path.c_str(), F_OK) != 0 && errno == ENOENT) return nobody;
  // The answer has to find its way back across network namespaces, which a
  // file's name does.
  const std::string own = fmt::format("{}.{}", path, getpid());
  absl::StatusOr<base::UniqueFd> fd = Bind(own);
  if (!fd.ok()) return fd.status();
  const ControlSocket owner(own, std::move(*fd));
  if (sendto(owner.fd(), request.data(), request.size(), MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&*to), sizeof(*to)) < 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return nobody;
    return absl::ErrnoToStatus(errno, "send to " + path);
  }
  pollfd wait = {.fd = owner.fd(), .events = POLLIN, .revents = 0};
  if (poll(&wait, 1, kAskTimeoutMs) != 1) {
    return absl::DeadlineExceededError(
        fmt::format("no answer from {} within {} ms", path, kAskTimeoutMs));
  }
  std::vector<char> buffer(kMaxBytes);
  const ssize_t n = recv(owner.fd(), buffer.data(), buffer.size(), 0);
  if (n < 0) return absl::ErrnoToStatus(errno, "receive from " + path);
  std::string answer(buffer.data(), static_cast<size_t>(n));
  if (answer.starts_with(kOk)) return answer.substr(std::strlen(kOk));
  if (answer.starts_with(kError)) answer.erase(0, std::strlen(kError));
  return absl::FailedPreconditionError(answer);
}

}  // namespace program
