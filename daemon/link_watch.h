// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_LINK_WATCH_H_
#define VDUSE_NET_DAEMON_LINK_WATCH_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/rtnl.h"
#include "net/wire/config_space.h"

namespace program {

struct LinkSpeed {
  uint32_t mbits = net::kDefaultSpeed;
  uint8_t duplex = net::kDuplexFull;
};

// Follows the interface of a TAP queue by index and network namespace, through
// renames and into other namespaces and back. After the interface is deleted,
// waits for another one of the same name. One thread; takes the rtnl lock.
class LinkWatch {
 public:
  // The result of Poll().
  enum class Change {
    kNone,
    kLink,  // up(), the name, or the identity has changed
    kGone,  // the interface was deleted
    // After kGone: our namespace has an interface of that name again.
    kAppeared,
  };

  static absl::StatusOr<LinkWatch> Open();

  // Follows the interface of the TAP queue `tap`, which remains the caller's.
  // After the interface is deleted, waits for `name`.
  absl::Status Follow(int tap, const std::string& name);

  // Waits for a TAP of that name in our namespace. If there is one already, the
  // next Poll() reports it.
  void WaitFor(const std::string& name);

  // Whether the interface is up and has a carrier. False while there is no
  // interface.
  bool up() const { return up_; }
  // The interface's current name.
  const std::string& name() const { return name_; }
  // The interface's identity: its index, and the inode of its namespace. 0:
  // there is none.
  int index() const { return index_; }
  ino_t namespace_inode() const { return inode_; }

  // Readable when something may have changed.
  int fd() const { return events_.fd(); }

  // Reads the kernel's events. After kGone, call it again at once: an interface
  // of that name may exist already, of which no event will tell.
  Change Poll();

  absl::StatusOr<Link> Find(const std::string& name) {
    return requests_.Find(name);
  }
  absl::StatusOr<Link> Find(int index) { return requests_.Find(index); }

  absl::Status SetMtu(uint32_t mtu);

  // The interface's speed and duplex, as `ethtool` shows them.
  LinkSpeed Speed() const;

 private:
  LinkWatch(RtnlSocket requests, LinkEvents events, ino_t own)
      : requests_(std::move(requests)), events_(std::move(events)), own_(own) {}
  absl::Status Locate();
  bool MustAsk(const LinkEvent& event);
  Change LookForName(const std::vector<LinkEvent>& events);

  RtnlSocket requests_;
  LinkEvents events_;
  ino_t own_;     // our namespace
  int tap_ = -1;  // a queue of the followed interface
  std::string name_;
  std::string wanted_;  // the name to wait for after a deletion
  bool look_ = false;   // look for `wanted_` even without an event
  int index_ = 0;
  ino_t inode_ = 0;
  NamespaceId id_;
  bool up_ = false;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_LINK_WATCH_H_
