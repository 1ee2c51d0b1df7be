// SPDX-License-Identifier: Apache-2.0
#include "daemon/admin_process.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "daemon/admin_child.h"
#include "daemon/admin_messages.h"

namespace program {
namespace {

// Closes all descriptors except `fds` and the standard ones.
void KeepOnly(std::vector<int> fds) {
  std::erase_if(fds, [](int fd) { return fd <= STDERR_FILENO; });
  fds.push_back(INT_MAX);
  std::sort(fds.begin(), fds.end());
  int first = STDERR_FILENO + 1;
  for (const int fd : fds) {
    if (first < fd) {
      close_range(static_cast<unsigned>(first), static_cast<unsigned>(fd) - 1,
                  0);
    }
    first = fd == INT_MAX ? fd : fd + 1;
  }
}

}  // namespace

absl::StatusOr<AdminProcess> AdminProcess::Start(
    const std::vector<base::UniqueFd>& tap, const std::string& tap_name) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    return absl::ErrnoToStatus(errno, "socketpair");
  }
  base::UniqueFd ours(sockets[0]);
  base::UniqueFd theirs(sockets[1]);
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid > 0) return AdminProcess(std::move(ours));

  std::vector<int> keep = {theirs.get(), base::LogFd()};
  std::vector<net::Tap> queues;
  for (const base::UniqueFd& queue : tap) {
    if (!queue) continue;
    keep.push_back(queue.get());
    queues.emplace_back(base::UniqueFd(queue.get()));
  }
  KeepOnly(keep);
  prctl(PR_SET_NAME, "vduse-net-admin");
  // A signal to the whole process group is for the parent to handle: the parent
  // may still need this process to detach the device.
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  RunAdminChild(std::move(theirs), std::move(queues), tap_name);
}

void AdminProcess::OpenTap(const TapRequest& tap) {
  AdminRequest request = {};
  request.kind = Kind::kOpenTap;
  request.value = tap.mtu.value_or(0);
  request.queues = tap.queues;
  request.may_create = tap.if_absent == net::Tap::IfAbsent::kCreate ? 1 : 0;
  request.identity = tap.identity;
  CopyText(request.name, tap.name);
  // If the child is gone, Next() reports it.
  [[maybe_unused]] const ssize_t n =
      send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL);
}

void AdminProcess::Send(Kind kind, const std::string& name, uint32_t value,
                        uint32_t queues) {
  AdminRequest request = {};
  request.kind = kind;
  request.value = value;
  request.queues = queues;
  CopyText(request.name, name);
  // If the child is gone, Next() reports it.
  [[maybe_unused]] ssize_t n =
      send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL);
}

absl::StatusOr<AdminProcess::Event> AdminProcess::Next() {
  AdminAnswer answer = {};
  iovec iov = {.iov_base = &answer, .iov_len = sizeof(answer)};
  alignas(cmsghdr) AdminControl control{};
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n = 0;
  do {
    n = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n != static_cast<ssize_t>(sizeof(answer))) {
    return absl::UnavailableError("the administration process has ended");
  }
  answer.text[sizeof(answer.text) - 1] = 0;
  Event event{.kind = answer.kind,
              .status = absl::Status(static_cast<absl::StatusCode>(answer.code),
                                     answer.text),
              .tap = {},
              .tap_created = answer.tap_created != 0,
              .tap_knows_uso = answer.tap_knows_uso != 0,
              .tap_speed = answer.speed,
              .tap_identity = answer.identity,
              .tap_name = answer.tap_name,
              .link_up = answer.link_up != 0,
              .device_id = answer.device_id};
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    event.status = absl::ResourceExhaustedError(
        "too many open files to take the TAP's queues");
  }
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
      event.tap.emplace_back(base::UniqueFd(fd));
    }
  }
  return event;
}

}  // namespace program
