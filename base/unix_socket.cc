// SPDX-License-Identifier: Apache-2.0
#include "base/unix_socket.h"

#include <errno.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace base {
namespace {

absl::StatusOr<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        fmt::format("{}: longer than the name of a socket may be ({} bytes)",
                    path, sizeof(address.sun_path) - 1));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

UniqueFd MakeSocket(int type) {
  return UniqueFd(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

}  // namespace

absl::StatusOr<UniqueFd> ListenAt(const std::string& path, int type,
                                  int backlog) {
  const absl::StatusOr<sockaddr_un> address = AddressOf(path);
  if (!address.ok()) return address.status();
  UniqueFd listener = MakeSocket(type);
  if (!listener) return absl::ErrnoToStatus(errno, "socket");
  unlink(path.c_str());
  // Set the mode before anybody can see the socket.
  if (fchmod(listener.get(), 0600) != 0 ||
      bind(listener.get(), reinterpret_cast<const sockaddr*>(&*address),
           sizeof(*address)) != 0 ||
      listen(listener.get(), backlog) != 0) {
    return absl::ErrnoToStatus(errno, "bind " + path);
  }
  return listener;
}

absl::StatusOr<UniqueFd> ConnectTo(const std::string& path, int type) {
  const absl::StatusOr<sockaddr_un> address = AddressOf(path);
  if (!address.ok()) return address.status();
  UniqueFd fd = MakeSocket(type);
  if (!fd) return absl::ErrnoToStatus(errno, "socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address),
              sizeof(*address)) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) {
      return absl::NotFoundError(fmt::format("no process listens at {}", path));
    }
    return absl::ErrnoToStatus(errno, "connect to " + path);
  }
  return fd;
}

bool PeerIs(int socket, uid_t user) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == user);
}

}  // namespace base
