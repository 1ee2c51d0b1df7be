// SPDX-License-Identifier: Apache-2.0
//
// The kernel's network interfaces, through rtnetlink. Every request takes the
// rtnl lock, so only the administration process makes requests.
#ifndef VDUSE_NET_DAEMON_RTNL_H_
#define VDUSE_NET_DAEMON_RTNL_H_

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace program {

// An interface as rtnetlink describes it.
struct Link {
  int index = 0;
  bool up = false;  // IFF_UP and a carrier
  std::string name;
  std::vector<std::string> alternative_names;
  bool is_tap = false;  // a TUN/TAP interface with Ethernet frames

  bool Has(const std::string& wanted) const;
};

// The nsid of another network namespace in ours. nullopt: our own namespace.
using NamespaceId = std::optional<int>;

// An unrequested message of rtnetlink.
struct LinkEvent {
  enum class Kind {
    kChanged,        // changed or appeared
    kGone,           // deleted, or moved to another namespace
    kNamespaceGone,  // `of` was deleted
    kLost,           // events were lost: ask for the state
  };
  Kind kind = Kind::kLost;
  NamespaceId of;
  Link link;  // kChanged, kGone
};

// Nothing if the message is not about an interface itself. A bridge's messages
// about its ports have the same types, but another family: a port that leaves
// its bridge is not a deleted interface.
std::optional<LinkEvent> ParseLinkEvent(const nlmsghdr& message);

// Synchronous requests. One thread.
class RtnlSocket {
 public:
  static absl::StatusOr<RtnlSocket> Open();

  // Finds an interface by name, which may be an alternative name, or by index.
  //   NotFound: there is no such interface.
  absl::StatusOr<Link> Find(const std::string& name, NamespaceId in = {});
  absl::StatusOr<Link> Find(int index, NamespaceId in = {});

  // The nsid of the namespace of `namespace_fd` in ours. Assigns one if there
  // is none.
  absl::StatusOr<int> IdOf(int namespace_fd);

 private:
  explicit RtnlSocket(base::UniqueFd fd) : fd_(std::move(fd)) {}
  // Finds by `info`, or by `name` if that is not empty.
  absl::StatusOr<Link> Find(const ifinfomsg& info, const std::string& name,
                            NamespaceId in);
  absl::Status Ask(nlmsghdr* request,
                   const std::function<void(const nlmsghdr&)>& on_answer);

  base::UniqueFd fd_;
  uint32_t sequence_ = 0;
};

// Events of our namespace and of all others that have an nsid in it. A socket
// in the other namespace would keep that namespace alive after its owner has
// deleted it; this socket does not. One thread.
class LinkEvents {
 public:
  static absl::StatusOr<LinkEvents> Open();

  int fd() const { return fd_.get(); }

  // All waiting events.
  std::vector<LinkEvent> Read();

 private:
  explicit LinkEvents(base::UniqueFd fd) : fd_(std::move(fd)) {}

  base::UniqueFd fd_;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_RTNL_H_
