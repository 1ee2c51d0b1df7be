// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_LINK_WATCH_H_
#define VDUSE_NET_DAEMON_LINK_WATCH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct nl_sock;

namespace program {

// Follows an interface: whether it is up and has a carrier. One thread.
class LinkWatch {
 public:
  static absl::StatusOr<LinkWatch> Open(const std::string& interface_name);

  bool up() const { return up_; }

  // Readable when something may have changed.
  int fd() const;

  // Reads what the kernel has to say. The new state, if it said anything of
  // this interface.
  std::optional<bool> Poll();

  // Takes the rtnl lock.
  absl::Status SetMtu(uint32_t mtu);

 private:
  struct Deleter {
    void operator()(nl_sock* socket) const;
  };

  LinkWatch() = default;
  absl::StatusOr<bool> Query() const;

  std::unique_ptr<nl_sock, Deleter> socket_;
  std::string name_;
  int index_ = 0;
  bool up_ = false;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_LINK_WATCH_H_
