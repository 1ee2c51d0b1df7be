// SPDX-License-Identifier: Apache-2.0
#include "daemon/rtnl.h"

#include <errno.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace program {
namespace {

// Larger than any link's description. Longer messages are truncated and
// dropped.
constexpr size_t kReceiveBytes = 32768;

struct MessageDeleter {
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};
using Message = std::unique_ptr<nl_msg, MessageDeleter>;

Message NewMessage(int type) {
  return Message(nlmsg_alloc_simple(type, NLM_F_REQUEST));
}

absl::Status OutOfMemory() {
  return absl::ResourceExhaustedError("no memory for a netlink message");
}

absl::StatusOr<base::UniqueFd> OpenSocket(int flags) {
  base::UniqueFd fd(
      socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE));
  if (!fd) return absl::ErrnoToStatus(errno, "rtnetlink socket");
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof(address)) != 0) {
    return absl::ErrnoToStatus(errno, "bind of an rtnetlink socket");
  }
  return fd;
}

bool IsTap(nlattr* info) {
  std::array<nlattr*, IFLA_INFO_MAX + 1> parts{};
  if (info == nullptr ||
      nla_parse_nested(parts.data(), IFLA_INFO_MAX, info, nullptr) != 0 ||
      parts[IFLA_INFO_KIND] == nullptr ||
      std::strncmp(nla_get_string(parts[IFLA_INFO_KIND]), "tun",
                   static_cast<size_t>(nla_len(parts[IFLA_INFO_KIND]))) != 0) {
    return false;
  }
  std::array<nlattr*, IFLA_TUN_MAX + 1> tun{};
  return parts[IFLA_INFO_DATA] != nullptr &&
         nla_parse_nested(tun.data(), IFLA_TUN_MAX, parts[IFLA_INFO_DATA],
                          nullptr) == 0 &&
         tun[IFLA_TUN_TYPE] != nullptr &&
         nla_get_u8(tun[IFLA_TUN_TYPE]) == IFF_TAP;
}

std::string AttributeText(const nlattr* attribute) {
  const auto* text = static_cast<const char*>(nla_data(attribute));
  return {text, strnlen(text, static_cast<size_t>(nla_len(attribute)))};
}

std::optional<Link> ParseLink(const nlmsghdr& message) {
  if (nlmsg_datalen(&message) < static_cast<int>(sizeof(ifinfomsg))) {
    return std::nullopt;
  }
  const auto* info = static_cast<const ifinfomsg*>(nlmsg_data(&message));
  if (info->ifi_family != AF_UNSPEC) return std::nullopt;
  std::array<nlattr*, IFLA_MAX + 1> parts{};
  if (nlmsg_parse(const_cast<nlmsghdr*>(&message), sizeof(ifinfomsg),
                  parts.data(), IFLA_MAX, nullptr) != 0) {
    return std::nullopt;
  }
  Link link;
  link.index = info->ifi_index;
  constexpr unsigned kUp = IFF_UP | IFF_RUNNING;
  link.up = (info->ifi_flags & kUp) == kUp;
  if (nlattr* name = parts[IFLA_IFNAME]; name != nullptr) {
    link.name = AttributeText(name);
  }
  link.is_tap = IsTap(parts[IFLA_LINKINFO]);
  if (nlattr* list = parts[IFLA_PROP_LIST]; list != nullptr) {
    int left = nla_len(list);
    for (auto* name = static_cast<nlattr*>(nla_data(list)); nla_ok(name, left);
         name = nla_next(name, &left)) {
      if (nla_type(name) == IFLA_ALT_IFNAME) {
        link.alternative_names.push_back(AttributeText(name));
      }
    }
  }
  return link;
}

// The number of the namespace in a message about namespaces; negative if there
// is none.
int ParseNamespaceId(const nlmsghdr& message) {
  std::array<nlattr*, NETNSA_MAX + 1> parts{};
  if (nlmsg_parse(const_cast<nlmsghdr*>(&message), sizeof(rtgenmsg),
                  parts.data(), NETNSA_MAX, nullptr) != 0 ||
      parts[NETNSA_NSID] == nullptr) {
    return -1;
  }
  return nla_get_s32(parts[NETNSA_NSID]);
}

// The namespace that a received message comes from.
NamespaceId SenderOf(msghdr& message) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == SOL_NETLINK &&
        header->cmsg_type == NETLINK_LISTEN_ALL_NSID) {
      int id = -1;
      std::memcpy(&id, CMSG_DATA(header), sizeof(id));
      if (id >= 0) return id;
    }
  }
  return std::nullopt;
}

// Receives one datagram, which may have several messages. Returns its length,
// or a negative number.
ssize_t Receive(int fd, std::span<char> buffer, NamespaceId* sender) {
  iovec iov = {.iov_base = buffer.data(), .iov_len = buffer.size()};
  alignas(cmsghdr) std::array<char, 256> control{};
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n = 0;
  do {
    n = recvmsg(fd, &message, 0);
  } while (n < 0 && errno == EINTR);
  if (n >= 0 && (message.msg_flags & MSG_TRUNC) != 0) {
    errno = ENOBUFS;
    return -1;
  }
  if (n >= 0 && sender != nullptr) *sender = SenderOf(message);
  return n;
}

void ForEachMessage(std::span<char> datagram,
                    const std::function<void(const nlmsghdr&)>& work) {
  auto left = static_cast<int>(datagram.size());
  for (auto* header = reinterpret_cast<nlmsghdr*>(datagram.data());
       nlmsg_ok(header, left); header = nlmsg_next(header, &left)) {
    work(*header);
  }
}

absl::Status ToStatus(int error, const std::string& what) {
  if (error == ENODEV) return absl::NotFoundError(what + ": no such interface");
  return absl::ErrnoToStatus(error, what);
}

}  // namespace

bool Link::Has(const std::string& wanted) const {
  return name == wanted ||
         std::find(alternative_names.begin(), alternative_names.end(),
                   wanted) != alternative_names.end();
}

std::optional<LinkEvent> ParseLinkEvent(const nlmsghdr& message) {
  LinkEvent event;
  switch (message.nlmsg_type) {
    case RTM_DELNSID:
      event.kind = LinkEvent::Kind::kNamespaceGone;
      event.of = ParseNamespaceId(message);
      return event;
    case RTM_NEWLINK:
      event.kind = LinkEvent::Kind::kChanged;
      break;
    case RTM_DELLINK:
      event.kind = LinkEvent::Kind::kGone;
      break;
    default:
      return std::nullopt;
  }
  std::optional<Link> link = ParseLink(message);
  if (!link) return std::nullopt;
  event.link = std::move(*link);
  return event;
}

absl::StatusOr<RtnlSocket> RtnlSocket::Open() {
  absl::StatusOr<base::UniqueFd> fd = OpenSocket(0);
  if (!fd.ok()) return fd.status();
  return RtnlSocket(std::move(*fd));
}

absl::Status RtnlSocket::Ask(
    nlmsghdr* request, const std::function<void(const nlmsghdr&)>& on_answer) {
  request->nlmsg_flags |= NLM_F_ACK;
  request->nlmsg_seq = ++sequence_;
  if (send(fd_.get(), request, request->nlmsg_len, 0) < 0) {
    return absl::ErrnoToStatus(errno, "rtnetlink");
  }
  alignas(nlmsghdr) static char buffer[kReceiveBytes];
  std::optional<int> error;
  while (!error) {
    const ssize_t n = Receive(fd_.get(), buffer, nullptr);
    if (n < 0) return absl::ErrnoToStatus(errno, "rtnetlink");
    ForEachMessage({buffer, static_cast<size_t>(n)}, [&](const nlmsghdr& got) {
      if (got.nlmsg_seq != sequence_) return;
      if (got.nlmsg_type != NLMSG_ERROR) {
        on_answer(got);
      } else if (nlmsg_datalen(&got) >= static_cast<int>(sizeof(int))) {
        error = -static_cast<const nlmsgerr*>(nlmsg_data(&got))->error;
      }
    });
  }
  return *error == 0 ? absl::OkStatus() : ToStatus(*error, "rtnetlink");
}

absl::StatusOr<Link> RtnlSocket::Find(const std::string& name, NamespaceId in) {
  return Find({}, name, in);
}

absl::StatusOr<Link> RtnlSocket::Find(int index, NamespaceId in) {
  ifinfomsg info = {};
  info.ifi_index = index;
  return Find(info, {}, in);
}

absl::StatusOr<Link> RtnlSocket::Find(const ifinfomsg& info,
                                      const std::string& name, NamespaceId in) {
  const Message message = NewMessage(RTM_GETLINK);
  // Short names have one attribute, longer names another.
  const int attribute = name.size() < IFNAMSIZ ? IFLA_IFNAME : IFLA_ALT_IFNAME;
  if (!message ||
      nlmsg_append(message.get(), const_cast<ifinfomsg*>(&info), sizeof(info),
                   NLMSG_ALIGNTO) != 0 ||
      (!name.empty() &&
       nla_put_string(message.get(), attribute, name.c_str()) != 0) ||
      (in && nla_put_s32(message.get(), IFLA_TARGET_NETNSID, *in) != 0)) {
    return OutOfMemory();
  }
  std::optional<Link> link;
  absl::Status asked = Ask(nlmsg_hdr(message.get()),
                           [&](const nlmsghdr& m) { link = ParseLink(m); });
  if (asked.ok() && !link) asked = absl::NotFoundError("no such interface");
  if (!asked.ok()) return asked;
  return *link;
}

absl::StatusOr<int> RtnlSocket::IdOf(int namespace_fd) {
  const auto ask = [&](int type, int& id) -> absl::Status {
    const Message message = NewMessage(type);
    rtgenmsg family = {};
    if (!message ||
        nlmsg_append(message.get(), &family, sizeof(family), NLMSG_ALIGNTO) !=
            0 ||
        nla_put_u32(message.get(), NETNSA_FD,
                    static_cast<uint32_t>(namespace_fd)) != 0 ||
        (type == RTM_NEWNSID &&
         nla_put_s32(message.get(), NETNSA_NSID, -1) != 0)) {
      return OutOfMemory();
    }
    return Ask(nlmsg_hdr(message.get()),
               [&](const nlmsghdr& m) { id = ParseNamespaceId(m); });
  };
  int id = -1;
  absl::Status status = ask(RTM_GETNSID, id);
  if (status.ok() && id < 0) {
    status = ask(RTM_NEWNSID, id);
    // Another process may have assigned a number meanwhile.
    if (status.ok() || absl::IsAlreadyExists(status)) {
      status = ask(RTM_GETNSID, id);
    }
  }
  if (!status.ok()) return status;
  if (id < 0)
    return absl::UnavailableError("a network namespace has no number");
  return id;
}

absl::StatusOr<LinkEvents> LinkEvents::Open() {
  absl::StatusOr<base::UniqueFd> fd = OpenSocket(SOCK_NONBLOCK);
  if (!fd.ok()) return fd.status();
  const int on = 1;
  for (const int group : {RTNLGRP_LINK, RTNLGRP_NSID}) {
    if (setsockopt(fd->get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
                   sizeof(group)) != 0) {
      return absl::ErrnoToStatus(errno, "rtnetlink: joining a group");
    }
  }
  if (setsockopt(fd->get(), SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on,
                 sizeof(on)) != 0) {
    return absl::ErrnoToStatus(errno, "NETLINK_LISTEN_ALL_NSID");
  }
  return LinkEvents(std::move(*fd));
}

std::vector<LinkEvent> LinkEvents::Read() {
  std::vector<LinkEvent> events;
  alignas(nlmsghdr) static char buffer[kReceiveBytes];
  for (;;) {
    NamespaceId sender;
    const ssize_t n = Receive(fd_.get(), buffer, &sender);
    if (n < 0) {
      if (errno == EAGAIN) return events;
      events.push_back({.kind = LinkEvent::Kind::kLost, .of = {}, .link = {}});
      if (errno != ENOBUFS) return events;
      continue;
    }
    ForEachMessage({buffer, static_cast<size_t>(n)}, [&](const nlmsghdr& got) {
      std::optional<LinkEvent> event = ParseLinkEvent(got);
      if (!event) return;
      // A namespace's number is valid here only if our own namespace sent it.
      if (event->kind == LinkEvent::Kind::kNamespaceGone) {
        if (sender) return;
      } else {
        event->of = sender;
      }
      events.push_back(std::move(*event));
    });
  }
}

}  // namespace program
