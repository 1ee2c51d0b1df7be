// SPDX-License-Identifier: Apache-2.0
#include "daemon/admin_process.h"

#include <errno.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <cstring>
#include <thread>
#include <utility>

#include "base/status_text.h"
#include "daemon/link_watch.h"
#include "vduse/vdpa_bus.h"

namespace program {
namespace {

using Kind = AdminProcess::Kind;

constexpr std::chrono::milliseconds kBusyPause(10);
constexpr int kBusyTries = 200;

struct Request {
  Kind kind;
  uint32_t value;  // kOpenTap: the MTU, 0: leave it; kSetOffloads: flags
  char name[256];
};

struct Answer {
  Kind kind;
  int32_t code;  // absl::StatusCode
  uint32_t tap_created;
  uint32_t tap_knows_uso;
  uint32_t link_up;
  char text[512];
};

template <size_t kSize>
void CopyText(char (&to)[kSize], std::string_view from) {
  const size_t n = std::min(from.size(), kSize - 1);
  std::memcpy(to, from.data(), n);
  to[n] = 0;
}

// Sends an answer, and `fd` with it unless it is -1.
void SendAnswer(int socket, const Answer& answer, int fd) {
  iovec iov = {.iov_base = const_cast<Answer*>(&answer),
               .iov_len = sizeof(answer)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  }
  sendmsg(socket, &message, MSG_NOSIGNAL);
}

// Closes all descriptors but the standard ones, `a`, and `b` if it is not -1.
void KeepOnly(int a, int b) {
  const auto close_between = [](int first, int last) {
    if (first <= last) {
      close_range(static_cast<unsigned>(first), static_cast<unsigned>(last), 0);
    }
  };
  const int low = b < 0 ? a : std::min(a, b);
  const int high = std::max(a, b);
  close_between(STDERR_FILENO + 1, low - 1);
  close_between(low + 1, high - 1);
  close_between(high + 1, INT_MAX);
}

// The child's side.
class Admin {
 public:
  explicit Admin(base::UniqueFd socket) : socket_(std::move(socket)) {}

  // Goes on with a TAP that is open already.
  void TakeTap(base::UniqueFd tap, const std::string& name) {
    tap_.emplace(std::move(tap));
    absl::StatusOr<LinkWatch> link = LinkWatch::Open(name);
    // It may be gone by now; then so is its link.
    if (link.ok()) {
      link_.emplace(std::move(*link));
      link_up_ = link_->up();
    }
    Reply(Kind::kLink, absl::OkStatus(), -1);
  }

  void Run() {
    for (;;) {
      std::array<pollfd, 2> fds = {
          pollfd{.fd = socket_.get(), .events = POLLIN, .revents = 0},
          pollfd{
              .fd = link_ ? link_->fd() : -1, .events = POLLIN, .revents = 0}};
      if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
      if (fds[1].revents != 0) {
        const std::optional<bool> up = link_->Poll();
        if (up && *up != link_up_) {
          link_up_ = *up;
          Reply(Kind::kLink, absl::OkStatus(), -1);
        }
      }
      if (fds[0].revents != 0) {
        Request request = {};
        const ssize_t n = recv(socket_.get(), &request, sizeof(request), 0);
        if (n != static_cast<ssize_t>(sizeof(request))) return;
        Handle(request);
      }
    }
  }

 private:
  void Handle(const Request& request) {
    const std::string name = request.name;
    switch (request.kind) {
      case Kind::kOpenTap:
        OpenTap(name, request.value);
        return;
      case Kind::kSetOffloads:
        Reply(request.kind,
              tap_ ? tap_->SetOffloads(request.value) : absl::OkStatus(), -1);
        return;
      case Kind::kAttach:
        Reply(request.kind, vduse::AttachToBus(name), -1);
        return;
      case Kind::kDetach:
        Reply(request.kind, vduse::DetachFromBus(name), -1);
        return;
      case Kind::kRemoveTap:
        Reply(request.kind, tap_ ? tap_->Remove() : absl::OkStatus(), -1);
        tap_.reset();
        return;
      case Kind::kLink:
        return;
    }
  }

  void OpenTap(const std::string& name, uint32_t mtu) {
    absl::StatusOr<net::Tap> tap = net::Tap::Open(name);
    // The copy of a killed process's child may be about to close.
    for (int i = 0; i < kBusyTries && absl::IsFailedPrecondition(tap.status());
         ++i) {
      std::this_thread::sleep_for(kBusyPause);
      tap = net::Tap::Open(name);
    }
    if (!tap.ok()) {
      Reply(Kind::kOpenTap, tap.status(), -1);
      return;
    }
    tap_.emplace(std::move(*tap));
    absl::StatusOr<LinkWatch> link = LinkWatch::Open(name);
    if (!link.ok()) {
      Reply(Kind::kOpenTap, link.status(), -1);
      return;
    }
    link_.emplace(std::move(*link));
    link_up_ = link_->up();
    absl::Status status;
    if (mtu != 0) status = link_->SetMtu(mtu);
    Reply(Kind::kOpenTap, status, status.ok() ? tap_->fd() : -1);
  }

  void Reply(Kind kind, const absl::Status& status, int fd) {
    Answer answer = {};
    answer.kind = kind;
    answer.code = static_cast<int32_t>(status.code());
    answer.tap_created = tap_ && tap_->created() ? 1 : 0;
    answer.tap_knows_uso = tap_ && tap_->knows_uso() ? 1 : 0;
    answer.link_up = link_up_ ? 1 : 0;
    CopyText(answer.text, base::Text(status));
    SendAnswer(socket_.get(), answer, fd);
  }

  base::UniqueFd socket_;
  std::optional<net::Tap> tap_;
  std::optional<LinkWatch> link_;
  bool link_up_ = false;
};

}  // namespace

absl::StatusOr<AdminProcess> AdminProcess::Start(int tap,
                                                 const std::string& tap_name) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    return absl::ErrnoToStatus(errno, "socketpair");
  }
  base::UniqueFd ours(sockets[0]);
  base::UniqueFd theirs(sockets[1]);
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid > 0) return AdminProcess(std::move(ours));

  KeepOnly(theirs.get(), tap);
  prctl(PR_SET_NAME, "vduse-net-admin");
  // A signal to the whole group is the parent's business: it may still need
  // us to detach the device.
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  Admin admin(std::move(theirs));
  if (tap >= 0) admin.TakeTap(base::UniqueFd(tap), tap_name);
  admin.Run();
  _exit(0);
}

void AdminProcess::OpenTap(const std::string& name,
                           std::optional<uint16_t> mtu) {
  Send(Kind::kOpenTap, name, mtu.value_or(0));
}

void AdminProcess::Send(Kind kind, const std::string& name, uint32_t value) {
  Request request = {};
  request.kind = kind;
  request.value = value;
  CopyText(request.name, name);
  // If the child is gone, Next() says so.
  [[maybe_unused]] ssize_t n =
      send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL);
}

absl::StatusOr<AdminProcess::Event> AdminProcess::Next() {
  Answer answer = {};
  iovec iov = {.iov_base = &answer, .iov_len = sizeof(answer)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
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
    return absl::UnavailableError("the administration process has gone");
  }
  answer.text[sizeof(answer.text) - 1] = 0;
  Event event{.kind = answer.kind,
              .status = absl::Status(static_cast<absl::StatusCode>(answer.code),
                                     answer.text),
              .tap = std::nullopt,
              .tap_created = answer.tap_created != 0,
              .tap_knows_uso = answer.tap_knows_uso != 0,
              .link_up = answer.link_up != 0};
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    event.tap.emplace(base::UniqueFd(fd));
  }
  return event;
}

}  // namespace program
