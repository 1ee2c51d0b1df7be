// SPDX-License-Identifier: Apache-2.0
#include "daemon/fd_message.h"

#include <errno.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace program {
namespace {

using Control = std::array<char, CMSG_SPACE(kMaxMessageFds * sizeof(int))>;

// Takes the descriptors out of a received message.
std::vector<base::UniqueFd> TakeFds(msghdr& message) {
  std::vector<base::UniqueFd> fds;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET ||
      header->cmsg_type != SCM_RIGHTS) {
    return fds;
  }
  const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (size_t i = 0; i < count; ++i) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
    fds.emplace_back(fd);
  }
  return fds;
}

}  // namespace

absl::StatusOr<SocketPair> MakeSocketPair() {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    return absl::ErrnoToStatus(errno, "socketpair");
  }
  return SocketPair{.ours = base::UniqueFd(sockets[0]),
                    .theirs = base::UniqueFd(sockets[1])};
}

bool SendMessage(int socket, std::span<const std::byte> message,
                 std::span<const int> fds, IfFull if_full) {
  iovec iov = {.iov_base = const_cast<std::byte*>(message.data()),
               .iov_len = message.size()};
  alignas(cmsghdr) Control control{};
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  const int flags =
      MSG_NOSIGNAL | (if_full == IfFull::kFail ? MSG_DONTWAIT : 0);
  ssize_t n = 0;
  do {
    n = sendmsg(socket, &header, flags);
  } while (n < 0 && errno == EINTR);
  return n == static_cast<ssize_t>(message.size());
}

absl::StatusOr<std::vector<base::UniqueFd>> ReceiveMessage(
    int socket, std::span<std::byte> message, IfEmpty if_empty) {
  iovec iov = {.iov_base = message.data(), .iov_len = message.size()};
  alignas(cmsghdr) Control control{};
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const int flags =
      MSG_CMSG_CLOEXEC | (if_empty == IfEmpty::kFail ? MSG_DONTWAIT : 0);
  ssize_t n = 0;
  do {
    n = recvmsg(socket, &header, flags);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) return absl::NotFoundError("no message");
  if (n != static_cast<ssize_t>(message.size())) {
    return absl::UnavailableError("the other process has ended");
  }
  std::vector<base::UniqueFd> fds = TakeFds(header);
  if ((header.msg_flags & MSG_CTRUNC) != 0) {
    return absl::ResourceExhaustedError(
        "too many open files to take the descriptors of a message");
  }
  return fds;
}

}  // namespace program
