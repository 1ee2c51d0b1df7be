// SPDX-License-Identifier: Apache-2.0
#include "daemon/link_watch.h"

#include <errno.h>
#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <string_view>

#include "base/status_text.h"
#include "base/unique_fd.h"

namespace program {
namespace {

bool IsUp(unsigned flags) {
  return (flags & IFF_UP) != 0 && (flags & IFF_RUNNING) != 0;
}

// What one round of messages said.
struct Seen {
  int index;
  std::optional<bool> up;
};

int OnMessage(nl_msg* message, void* arg) {
  auto* seen = static_cast<Seen*>(arg);
  const nlmsghdr* header = nlmsg_hdr(message);
  if (header->nlmsg_type != RTM_NEWLINK && header->nlmsg_type != RTM_DELLINK) {
    return NL_OK;
  }
  if (nlmsg_datalen(header) < static_cast<int>(sizeof(ifinfomsg))) return NL_OK;
  const auto* info = static_cast<const ifinfomsg*>(nlmsg_data(header));
  if (info->ifi_index != seen->index) return NL_OK;
  seen->up = header->nlmsg_type == RTM_NEWLINK && IsUp(info->ifi_flags);
  return NL_OK;
}

// `what` is asked for or set, for the error.
absl::StatusOr<ifreq> InterfaceIoctl(const std::string& name,
                                     std::string_view what,
                                     unsigned long request, ifreq argument) {
  const base::UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return absl::ErrnoToStatus(errno, "socket");
  std::strncpy(argument.ifr_name, name.c_str(), IFNAMSIZ - 1);
  if (ioctl(fd.get(), request, &argument) != 0) {
    return absl::ErrnoToStatus(errno,
                               fmt::format("{} of interface '{}'", what, name));
  }
  return argument;
}

}  // namespace

void LinkWatch::Deleter::operator()(nl_sock* socket) const {
  nl_socket_free(socket);
}

absl::StatusOr<LinkWatch> LinkWatch::Open(const std::string& interface_name) {
  LinkWatch watch;
  watch.name_ = interface_name;
  watch.index_ = static_cast<int>(if_nametoindex(interface_name.c_str()));
  watch.socket_.reset(nl_socket_alloc());
  if (!watch.socket_) return absl::ResourceExhaustedError("nl_socket_alloc");
  nl_socket_disable_seq_check(watch.socket_.get());
  int rc = nl_connect(watch.socket_.get(), NETLINK_ROUTE);
  if (rc == 0) {
    rc = nl_socket_add_memberships(watch.socket_.get(), RTNLGRP_LINK, 0);
  }
  if (rc == 0) rc = nl_socket_set_nonblocking(watch.socket_.get());
  if (rc < 0) {
    return absl::UnavailableError(
        fmt::format("rtnetlink: {}", nl_geterror(rc)));
  }
  absl::StatusOr<bool> up = watch.Query();
  if (!up.ok()) return up.status();
  watch.up_ = *up;
  return watch;
}

int LinkWatch::fd() const { return nl_socket_get_fd(socket_.get()); }

std::optional<bool> LinkWatch::Poll() {
  Seen seen{.index = index_, .up = std::nullopt};
  nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_CUSTOM, OnMessage,
                      &seen);
  const int rc = nl_recvmsgs_default(socket_.get());
  if (rc < 0 && !seen.up) {
    // Messages were lost: ask.
    const absl::StatusOr<bool> up = Query();
    seen.up = up.ok() && *up;
  }
  if (seen.up) up_ = *seen.up;
  return seen.up;
}

absl::StatusOr<bool> LinkWatch::Query() const {
  const absl::StatusOr<ifreq> answer =
      InterfaceIoctl(name_, "flags", SIOCGIFFLAGS, ifreq{});
  if (!answer.ok()) return answer.status();
  return IsUp(static_cast<unsigned>(answer->ifr_flags));
}

absl::Status LinkWatch::SetMtu(uint32_t mtu) {
  ifreq request = {};
  request.ifr_mtu = static_cast<int>(mtu);
  absl::Status set =
      InterfaceIoctl(name_, fmt::format("MTU {}", mtu), SIOCSIFMTU, request)
          .status();
  if (!absl::IsInvalidArgument(set)) return set;
  return absl::InvalidArgumentError(fmt::format(
      "{}: choose another --mtu, of what `ip -d link show {}` has between "
      "minmtu and maxmtu",
      base::Text(set), name_));
}

}  // namespace program
