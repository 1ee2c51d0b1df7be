// SPDX-License-Identifier: Apache-2.0
#include "daemon/link_watch.h"

#include <errno.h>
#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstring>
#include <tuple>
#include <utility>

#include "base/status_text.h"
#include "base/unique_fd.h"

namespace program {
namespace {

// An interface may be renamed or moved during the lookup.
constexpr int kLocateTries = 5;

absl::Status Gone() {
  return absl::NotFoundError("the TAP interface was deleted");
}

}  // namespace

absl::StatusOr<LinkWatch> LinkWatch::Open() {
  struct stat own = {};
  if (stat("/proc/thread-self/ns/net", &own) != 0) {
    return absl::ErrnoToStatus(errno, "/proc/thread-self/ns/net");
  }
  // Open events first, so that no event between the two calls is missed.
  absl::StatusOr<LinkEvents> events = LinkEvents::Open();
  if (!events.ok()) return events.status();
  absl::StatusOr<RtnlSocket> requests = RtnlSocket::Open();
  if (!requests.ok()) return requests.status();
  return LinkWatch(std::move(*requests), std::move(*events), own.st_ino);
}

absl::Status LinkWatch::Follow(int tap, const std::string& name) {
  tap_ = tap;
  wanted_ = name;
  return Locate();
}

void LinkWatch::WaitFor(const std::string& name) {
  tap_ = -1;
  wanted_ = name;
  look_ = true;
  index_ = 0;
  inode_ = 0;
  up_ = false;
}

// Asks the TAP's descriptor for the interface and its namespace.
//   NotFound: the interface was deleted.
absl::Status LinkWatch::Locate() {
  absl::Status status = Gone();
  for (int i = 0; i < kLocateTries && absl::IsNotFound(status); ++i) {
    ifreq request = {};
    if (ioctl(tap_, TUNGETIFF, &request) != 0) return Gone();
    const base::UniqueFd space(ioctl(tap_, TUNGETDEVNETNS));
    struct stat info = {};
    NamespaceId id;
    // Linux before 5.2 does not tell the namespace; it is then taken to be
    // ours.
    if (!space || fstat(space.get(), &info) != 0) info.st_ino = own_;
    if (info.st_ino != own_) {
      const absl::StatusOr<int> number = requests_.IdOf(space.get());
      if (!number.ok()) return number.status();
      id = *number;
    }
    const absl::StatusOr<Link> link = requests_.Find(request.ifr_name, id);
    status = link.status();
    if (!link.ok()) continue;
    name_ = link->name;
    index_ = link->index;
    inode_ = info.st_ino;
    id_ = id;
    up_ = link->up;
  }
  return status;
}

// Applies an event to the followed interface. True if the interface has to be
// located again.
bool LinkWatch::MustAsk(const LinkEvent& event) {
  if (event.kind == LinkEvent::Kind::kLost) return true;
  if (event.of != id_) return false;
  if (event.kind == LinkEvent::Kind::kNamespaceGone) return id_.has_value();
  if (event.link.index != index_) return false;
  if (event.kind == LinkEvent::Kind::kGone) return true;
  up_ = event.link.up;
  name_ = event.link.name;
  return false;
}

LinkWatch::Change LinkWatch::Poll() {
  const std::vector<LinkEvent> events = events_.Read();
  if (tap_ < 0) return LookForName(events);
  const auto before = std::tuple(up_, name_, index_, inode_);
  bool ask = false;
  for (const LinkEvent& event : events) {
    if (MustAsk(event)) ask = true;
  }
  if (ask && absl::IsNotFound(Locate())) {
    WaitFor(wanted_);
    return Change::kGone;
  }
  const bool same = before == std::tuple(up_, name_, index_, inode_);
  return same ? Change::kNone : Change::kLink;
}

LinkWatch::Change LinkWatch::LookForName(const std::vector<LinkEvent>& events) {
  bool look = std::exchange(look_, false);
  for (const LinkEvent& event : events) {
    if (event.kind == LinkEvent::Kind::kLost ||
        (event.kind == LinkEvent::Kind::kChanged && !event.of &&
         event.link.Has(wanted_))) {
      look = true;
    }
  }
  if (!look || wanted_.empty()) return Change::kNone;
  const absl::StatusOr<Link> link = requests_.Find(wanted_);
  return link.ok() && link->is_tap ? Change::kAppeared : Change::kNone;
}

absl::Status LinkWatch::SetMtu(uint32_t mtu) {
  const base::UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return absl::ErrnoToStatus(errno, "socket");
  ifreq request = {};
  std::strncpy(request.ifr_name, name_.c_str(), IFNAMSIZ - 1);
  request.ifr_mtu = static_cast<int>(mtu);
  if (ioctl(fd.get(), SIOCSIFMTU, &request) == 0) return absl::OkStatus();
  absl::Status failed = absl::ErrnoToStatus(
      errno, fmt::format("MTU {} of interface '{}'", mtu, name_));
  if (!absl::IsInvalidArgument(failed)) return failed;
  return absl::InvalidArgumentError(fmt::format(
      "{}: choose an --mtu between the minmtu and the maxmtu that `ip -d link "
      "show {}` prints",
      base::Text(failed), name_));
}

LinkSpeed LinkWatch::Speed() const {
  LinkSpeed speed;
  const base::UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_cmd command = {};
  command.cmd = ETHTOOL_GSET;
  ifreq request = {};
  std::strncpy(request.ifr_name, name_.c_str(), IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&command);
  if (!fd || ioctl(fd.get(), SIOCETHTOOL, &request) != 0) return speed;
  const uint32_t mbits = ethtool_cmd_speed(&command);
  if (mbits > 0 && mbits <= net::kMaxSpeed) speed.mbits = mbits;
  if (command.duplex == DUPLEX_HALF) speed.duplex = net::kDuplexHalf;
  return speed;
}

}  // namespace program
