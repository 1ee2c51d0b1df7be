// SPDX-License-Identifier: Apache-2.0
//
// The kernel's network interfaces, by rtnetlink. Every request here takes the
// rtnl lock: the administration process alone makes them.
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
  bool up = false;  // IFF_UP, and with a carrier
  std::string name;
  std::vector<std::string> alternative_names;
  bool is_tap = false;  // of the TUN/TAP driver, with Ethernet frames

  bool Has(const std::string& wanted) const;
};

// Another network namespace, as ours calls it. None: ours.
using NamespaceId = std::optional<int>;

// What rtnetlink said, unasked.
struct LinkEvent {
  enum class Kind {
    kChanged,        // or has come
    kGone,           // deleted, or moved to another namespace
    kNamespaceGone,  // `of` is
    kLost,           // events were: the state is to be asked for
  };
  Kind kind = Kind::kLost;
  NamespaceId of;
  Link link;  // kChanged, kGone
};

// Nothing if the message says nothing of an interface itself. What a bridge
// says of its ports comes as the same types, with another family: a port that
// leaves its bridge is not a deleted interface.
std::optional<LinkEvent> ParseLinkEvent(const nlmsghdr& message);

// Requests, each answered before it returns. One thread.
class RtnlSocket {
 public:
  static absl::StatusOr<RtnlSocket> Open();

  // NotFound: there is none. A name may be an alternative one.
  absl::StatusOr<Link> Find(const std::string& name, NamespaceId in = {});
  absl::StatusOr<Link> Find(int index, NamespaceId in = {});

  // What our namespace calls the one of `namespace_fd`; gives it a number if
  // it has none.
  absl::StatusOr<int> IdOf(int namespace_fd);

 private:
  explicit RtnlSocket(base::UniqueFd fd) : fd_(std::move(fd)) {}
  // By `info`, or by `name` if that is not empty.
  absl::StatusOr<Link> Find(const ifinfomsg& info, const std::string& name,
                            NamespaceId in);
  absl::Status Ask(nlmsghdr* request,
                   const std::function<void(const nlmsghdr&)>& on_answer);

  base::UniqueFd fd_;
  uint32_t sequence_ = 0;
};

// Events of our namespace and of all those that it has a number for. A socket
// in the other namespace would keep it alive after its owner has deleted it;
// this one does not. One thread.
class LinkEvents {
 public:
  static absl::StatusOr<LinkEvents> Open();

  int fd() const { return fd_.get(); }

  // All that wait.
  std::vector<LinkEvent> Read();

 private:
  explicit LinkEvents(base::UniqueFd fd) : fd_(std::move(fd)) {}

  base::UniqueFd fd_;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_RTNL_H_
