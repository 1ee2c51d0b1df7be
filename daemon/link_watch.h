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

// Follows the interface that a descriptor is a queue of, by its index and its
// network namespace: through changes of its name, and into other namespaces
// and back. After its end it waits for another one of the same name. One
// thread; takes the rtnl lock.
class LinkWatch {
 public:
  // What Poll() has found.
  enum class Change {
    kNone,
    kLink,      // up(), or which interface it is, has changed
    kGone,      // the interface was deleted
    kAppeared,  // it was, and our namespace has one of that name again
  };

  static absl::StatusOr<LinkWatch> Open();

  // Follows the interface that `tap`, which stays the caller's, is a queue of,
  // and after its end waits for `name`.
  absl::Status Follow(int tap, const std::string& name);

  // Waits for a TAP of that name in our namespace. If there is one already, the
  // next Poll() says so.
  void WaitFor(const std::string& name);

  // Whether it is up and has a carrier. False while there is none.
  bool up() const { return up_; }
  // What it is called now.
  const std::string& name() const { return name_; }
  // Which it is: its index, and the inode of its namespace. 0: none is.
  int index() const { return index_; }
  ino_t namespace_inode() const { return inode_; }

  // Readable when something may have changed.
  int fd() const { return events_.fd(); }

  // Reads what the kernel has to say. After kGone call it again soon.
  Change Poll();

  absl::StatusOr<Link> Find(const std::string& name) {
    return requests_.Find(name);
  }
  absl::StatusOr<Link> Find(int index) { return requests_.Find(index); }

  absl::Status SetMtu(uint32_t mtu);

  // What `ethtool` says of it.
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
  int tap_ = -1;  // of the interface that is followed
  std::string name_;
  std::string wanted_;  // what is waited for, once it is gone
  bool look_ = false;   // for that, whatever is heard
  int index_ = 0;
  ino_t inode_ = 0;
  NamespaceId id_;
  bool up_ = false;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_LINK_WATCH_H_
