// SPDX-License-Identifier: Apache-2.0
#include "daemon/admin_child.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <span>
#include <utility>

#include "base/status_text.h"
#include "daemon/admin_messages.h"
#include "daemon/fd_message.h"
#include "daemon/link_watch.h"
#include "daemon/tap_opener.h"
#include "vduse/vdpa_bus.h"

namespace program {
namespace {

using Kind = AdminProcess::Kind;
using OnClose = AdminProcess::OnClose;

class Child {
 public:
  explicit Child(base::UniqueFd socket) : socket_(std::move(socket)) {}

  // Takes over a TAP that is open already.
  void TakeTap(std::vector<net::Tap> tap, const std::string& name) {
    tap_ = std::move(tap);
    const absl::Status status = FollowTap(name);
    // The interface may have been deleted; its link is then down.
    if (absl::IsNotFound(status)) OnTapGone(name);
    Reply(Kind::kLink, absl::OkStatus());
  }

  void Run() {
    for (;;) {
      std::array<pollfd, 2> fds = {
          pollfd{.fd = socket_.get(), .events = POLLIN, .revents = 0},
          pollfd{
              .fd = link_ ? link_->fd() : -1, .events = POLLIN, .revents = 0}};
      const auto& [request_fd, link_fd] = fds;
      if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
      if (link_fd.revents != 0) OnLinkEvents();
      if (request_fd.revents != 0) {
        AdminRequest request = {};
        ssize_t n = 0;
        do {
          n = recv(socket_.get(), &request, sizeof(request), 0);
          // ECONNRESET is reported once if the parent ended without reading an
          // answer; the parent's last requests follow.
        } while (n < 0 && (errno == EINTR || errno == ECONNRESET));
        if (n != static_cast<ssize_t>(sizeof(request))) return;
        if (request.kind == Kind::kAbandon) {
          const bool created = !tap_.empty() && tap_.front().created();
          CloseTap(created ? OnClose::kRemove : OnClose::kKeep).IgnoreError();
          return;
        }
        Handle(request);
      }
    }
  }

 private:
  void Handle(const AdminRequest& request) {
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
        Reply(request.kind, CloseTap(static_cast<OnClose>(request.value)));
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

  // Whether the next request asks for the end, which is more urgent than the
  // present request, or the parent is gone.
  bool EndAsked() const {
    AdminRequest next = {};
    const ssize_t n =
        recv(socket_.get(), &next, sizeof(next), MSG_PEEK | MSG_DONTWAIT);
    if (n < 0) return errno != EAGAIN && errno != EINTR;
    return n != static_cast<ssize_t>(sizeof(next)) ||
           next.kind == Kind::kDetach || next.kind == Kind::kAbandon;
  }

  absl::Status CloseTap(OnClose interface) {
    absl::Status status;
    if (interface == OnClose::kRemove && !tap_.empty()) {
      status = tap_.front().Remove();
    }
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

  // Follows the interface of `tap_` from now on.
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

  // The interface may have been created again before its deletion was noticed.
  void LookForTap() {
    if (link_->Poll() == LinkWatch::Change::kAppeared) {
      Reply(Kind::kTapAppeared, absl::OkStatus());
    }
  }

  void OpenTap(const std::string& name, const AdminRequest& request) {
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
    // The MTU of an interface that was known before is left alone.
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
    AdminAnswer answer = {};
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
    SendMessage(socket_.get(), std::as_bytes(std::span(&answer, 1)), fds,
                IfFull::kWait);
  }

  base::UniqueFd socket_;
  std::vector<net::Tap> tap_;      // the TAP's queues
  std::vector<net::Tap> old_tap_;  // a deleted TAP's, while others have copies
  std::optional<LinkWatch> link_;
  uint32_t device_id_ = 0;
};

}  // namespace

void RunAdminChild(base::UniqueFd socket, std::vector<net::Tap> tap,
                   const std::string& tap_name) {
  Child child(std::move(socket));
  if (!tap.empty()) child.TakeTap(std::move(tap), tap_name);
  child.Run();
  // Without destructors: closing the last copy of a TAP takes the rtnl lock,
  // and the kernel does that when the process is gone.
  _exit(0);
}

}  // namespace program
