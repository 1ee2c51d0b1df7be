// SPDX-License-Identifier: Apache-2.0
#include "daemon/admin_process.h"

#include <errno.h>
#include <fmt/format.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/status_text.h"
#include "daemon/link_watch.h"
#include "daemon/tap_opener.h"
#include "net/wire/config_space.h"
#include "vduse/vdpa_bus.h"

namespace program {
namespace {

using Kind = AdminProcess::Kind;

struct Request {
  Kind kind;
  // kOpenTap: the MTU, 0: leave it; kSetTap: offloads; kCloseTap: remove it
  uint32_t value;
  uint32_t queues;                     // kOpenTap, kSetTap
  uint32_t may_create;                 // kOpenTap
  AdminProcess::TapIdentity identity;  // kOpenTap
  char name[256];
};

struct Answer {
  Kind kind;
  int32_t code;  // absl::StatusCode
  uint32_t tap_created;
  uint32_t tap_knows_uso;
  uint32_t link_up;
  uint32_t device_id;
  LinkSpeed speed;
  AdminProcess::TapIdentity identity;
  char tap_name[IFNAMSIZ];
  char text[512];
};

template <size_t kSize>
void CopyText(char (&to)[kSize], std::string_view from) {
  const size_t n = std::min(from.size(), kSize - 1);
  std::memcpy(to, from.data(), n);
  to[n] = 0;
}

using Control = std::array<char, CMSG_SPACE(net::kMaxQueuePairs * sizeof(int))>;

// Sends an answer, and descriptors with it.
void SendAnswer(int socket, const Answer& answer, const std::vector<int>& fds) {
  iovec iov = {.iov_base = const_cast<Answer*>(&answer),
               .iov_len = sizeof(answer)};
  alignas(cmsghdr) Control control{};
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    const size_t bytes = fds.size() * sizeof(int);
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(header), fds.data(), bytes);
  }
  sendmsg(socket, &message, MSG_NOSIGNAL);
}

// Closes all descriptors but these and the standard ones. None of `fds` is a
// standard one or -1.
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

// The child's side.
class Admin {
 public:
  explicit Admin(base::UniqueFd socket) : socket_(std::move(socket)) {}

  // Goes on with a TAP that is open already.
  void TakeTap(std::vector<net::Tap> tap, const std::string& name) {
    tap_ = std::move(tap);
    const absl::Status status = FollowTap(name);
    // It may be gone by now; then so is its link.
    if (absl::IsNotFound(status)) OnTapGone(name);
    Reply(Kind::kLink, absl::OkStatus());
  }

  void Run() {
    for (;;) {
      std::array<pollfd, 2> fds = {
          pollfd{.fd = socket_.get(), .events = POLLIN, .revents = 0},
          pollfd{
              .fd = link_ ? link_->fd() : -1, .events = POLLIN, .revents = 0}};
      if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
      if (fds[1].revents != 0) OnLinkEvents();
      if (fds[0].revents != 0) {
        Request request = {};
        ssize_t n = 0;
        do {
          n = recv(socket_.get(), &request, sizeof(request), 0);
          // The latter is said once by a parent that ended without reading an
          // answer, before what it had asked for.
        } while (n < 0 && (errno == EINTR || errno == ECONNRESET));
        if (n != static_cast<ssize_t>(sizeof(request))) return;
        if (request.kind == Kind::kAbandon) {
          CloseTap(!tap_.empty() && tap_.front().created()).IgnoreError();
          return;
        }
        Handle(request);
      }
    }
  }

 private:
  void Handle(const Request& request) {
    const std::string name = request.name;
    switch (request.kind) {
      case Kind::kOpenTap:
        OpenTap(name, request);
        return;
      case Kind::kSetTap:
        Reply(request.kind, SetTap(request.value, request.queues));
        return;
      case Kind::kAttach:
        Reply(request.kind, vduse::AttachToBus(name));
        return;
      case Kind::kDetach:
        Reply(request.kind, vduse::DetachFromBus(name));
        return;
      case Kind::kIdentify:
        Reply(request.kind, Identify(name));
        return;
      case Kind::kCloseTap:
        Reply(request.kind, CloseTap(request.value != 0));
        return;
      case Kind::kDropOldTap:
        old_tap_.clear();
        return;
      case Kind::kAbandon:
      case Kind::kLink:
      case Kind::kTapGone:
      case Kind::kTapAppeared:
        return;
    }
  }

  absl::Status Identify(const std::string& name) {
    const auto devices = vduse::ListBus(name);
    if (!devices.ok()) return devices.status();
    device_id_ = devices->front().device_id;
    return absl::OkStatus();
  }

  absl::Status SetTap(unsigned offloads, uint32_t queues) {
    absl::Status status;
    for (uint32_t i = 0; i < tap_.size(); ++i) {
      if (tap_.size() > 1) status.Update(tap_[i].SetAttached(i < queues));
    }
    if (!tap_.empty()) status.Update(tap_.front().SetOffloads(offloads));
    return status;
  }

  // Whether the next request is for an end, which is more urgent than what is
  // under way; or the parent has gone.
  bool EndAsked() const {
    Request next = {};
    const ssize_t n =
        recv(socket_.get(), &next, sizeof(next), MSG_PEEK | MSG_DONTWAIT);
    if (n < 0) return errno != EAGAIN && errno != EINTR;
    return n != static_cast<ssize_t>(sizeof(next)) ||
           next.kind == Kind::kDetach || next.kind == Kind::kAbandon;
  }

  absl::Status CloseTap(bool remove) {
    absl::Status status;
    if (remove && !tap_.empty()) status = tap_.front().Remove();
    tap_.clear();
    old_tap_.clear();
    return status;
  }

  absl::Status OpenWatch() {
    if (link_) return absl::OkStatus();
    absl::StatusOr<LinkWatch> link = LinkWatch::Open();
    if (link.ok()) link_.emplace(std::move(*link));
    return link.status();
  }

  // What becomes of the interface of `tap_` from now on.
  absl::Status FollowTap(const std::string& name) {
    if (absl::Status status = OpenWatch(); !status.ok()) return status;
    return link_->Follow(tap_.front().fd(), name);
  }

  void OnLinkEvents() {
    switch (link_->Poll()) {
      case LinkWatch::Change::kNone:
        return;
      case LinkWatch::Change::kLink:
        Reply(Kind::kLink, absl::OkStatus());
        return;
      case LinkWatch::Change::kGone:
        Reply(Kind::kTapGone, absl::OkStatus());
        LookForTap();
        return;
      case LinkWatch::Change::kAppeared:
        Reply(Kind::kTapAppeared, absl::OkStatus());
        return;
    }
  }

  void OnTapGone(const std::string& name) {
    if (link_) link_->WaitFor(name);
    Reply(Kind::kTapGone, absl::OkStatus());
    if (link_) LookForTap();
  }

  // It may have been made again before its end was noticed.
  void LookForTap() {
    if (link_->Poll() == LinkWatch::Change::kAppeared) {
      Reply(Kind::kTapAppeared, absl::OkStatus());
    }
  }

  void OpenTap(const std::string& name, const Request& request) {
    for (net::Tap& queue : tap_) old_tap_.push_back(std::move(queue));
    tap_.clear();
    auto tap = OpenTapQueues(
        {.name = name,
         .mtu = {},
         .queues = request.queues,
         .if_absent = request.may_create != 0 ? net::Tap::IfAbsent::kCreate
                                              : net::Tap::IfAbsent::kFail,
         .identity = request.identity},
        [this] { return EndAsked(); });
    if (!tap.ok()) {
      Reply(Kind::kOpenTap, tap.status());
      if (absl::IsNotFound(tap.status()) && OpenWatch().ok()) {
        link_->WaitFor(name);
        LookForTap();
      }
      return;
    }
    tap_ = std::move(*tap);
    absl::Status status = FollowTap(name);
    // Of one that was known before nothing is changed.
    if (status.ok() && request.value != 0 &&
        link_->index() != static_cast<int>(request.identity.index)) {
      status = link_->SetMtu(request.value);
    }
    std::vector<int> fds;
    if (status.ok()) {
      for (const net::Tap& queue : tap_) fds.push_back(queue.fd());
    }
    Reply(Kind::kOpenTap, status, fds);
  }

  void Reply(Kind kind, const absl::Status& status,
             const std::vector<int>& fds = {}) {
    Answer answer = {};
    answer.kind = kind;
    answer.code = static_cast<int32_t>(status.code());
    const net::Tap* tap = tap_.empty() ? nullptr : &tap_.front();
    answer.tap_created = tap != nullptr && tap->created() ? 1 : 0;
    answer.tap_knows_uso = tap != nullptr && tap->knows_uso() ? 1 : 0;
    answer.link_up = link_ && link_->up() ? 1 : 0;
    answer.device_id = device_id_;
    if (kind == Kind::kOpenTap && link_) answer.speed = link_->Speed();
    if (link_) {
      answer.identity = {.index = static_cast<uint32_t>(link_->index()),
                         .name_space = link_->namespace_inode()};
      CopyText(answer.tap_name, link_->name());
    }
    CopyText(answer.text, base::Text(status));
    SendAnswer(socket_.get(), answer, fds);
  }

  base::UniqueFd socket_;
  std::vector<net::Tap> tap_;      // its queues
  std::vector<net::Tap> old_tap_;  // of a deleted one, while others have copies
  std::optional<LinkWatch> link_;
  uint32_t device_id_ = 0;
};

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
  // A signal to the whole group is the parent's business: it may still need
  // us to detach the device.
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  Admin admin(std::move(theirs));
  if (!queues.empty()) admin.TakeTap(std::move(queues), tap_name);
  admin.Run();
  _exit(0);
}

void AdminProcess::OpenTap(const TapRequest& tap) {
  Request request = {};
  request.kind = Kind::kOpenTap;
  request.value = tap.mtu.value_or(0);
  request.queues = tap.queues;
  request.may_create = tap.if_absent == net::Tap::IfAbsent::kCreate ? 1 : 0;
  request.identity = tap.identity;
  CopyText(request.name, tap.name);
  // If the child is gone, Next() says so.
  [[maybe_unused]] const ssize_t n =
      send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL);
}

void AdminProcess::Send(Kind kind, const std::string& name, uint32_t value,
                        uint32_t queues) {
  Request request = {};
  request.kind = kind;
  request.value = value;
  request.queues = queues;
  CopyText(request.name, name);
  // If the child is gone, Next() says so.
  [[maybe_unused]] ssize_t n =
      send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL);
}

absl::StatusOr<AdminProcess::Event> AdminProcess::Next() {
  Answer answer = {};
  iovec iov = {.iov_base = &answer, .iov_len = sizeof(answer)};
  alignas(cmsghdr) Control control{};
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
