// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_ADMIN_PROCESS_H_
#define VDUSE_NET_DAEMON_ADMIN_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "daemon/link_watch.h"
#include "net/path/tap.h"

namespace program {

// A child process for every call that can wait for a lock of the host's
// network or of the vDPA bus: opening a TAP, attaching, detaching, watching
// the link.
//
// Those locks may be held by someone who waits for *our* device. In this
// process such a call would be a deadlock or, if the process was killed
// meanwhile, a device that nobody can open any more: a thread that waits for
// a lock in the kernel cannot die, and keeps every descriptor open. The child
// never has the device's descriptor, so it may wait as long as it likes. It
// also keeps a copy of the TAP's: closing the last one takes the lock, too.
//
// It ends when its parent does. One thread.
class AdminProcess {
 public:
  enum class Kind : uint32_t {
    kOpenTap,
    kSetTap,
    kAttach,
    kDetach,
    kIdentify,
    kCloseTap,
    kAbandon,
    kDropOldTap,
    kLink,
    kTapGone,
    kTapAppeared,
  };

  // Which interface it is: its index in a network namespace, of which this is
  // the inode. 0: not known.
  struct TapIdentity {
    uint32_t index = 0;
    uint64_t name_space = 0;
    bool operator==(const TapIdentity&) const = default;
  };

  // An answer to a request, or, unasked, what became of the TAP: its link has
  // changed; it was deleted; there is one of its name again.
  struct Event {
    Kind kind{};
    absl::Status status;         // of what was asked for
    std::vector<net::Tap> tap;   // kOpenTap: its queues
    bool tap_created = false;    // kOpenTap
    bool tap_knows_uso = false;  // kOpenTap
    LinkSpeed tap_speed;         // kOpenTap
    TapIdentity tap_identity;    // kOpenTap, kLink
    std::string tap_name;        // the same: what it is called now
    bool link_up = false;        // kOpenTap, kLink
    uint32_t device_id = 0;      // kIdentify: virtio's type
  };

  struct TapRequest {
    std::string name;
    std::optional<uint16_t> mtu;  // left as it is if absent
    uint32_t queues = 1;
    net::Tap::IfAbsent if_absent = net::Tap::IfAbsent::kCreate;
    // The interface it was, if it still is: whatever it is called, and wherever
    // it is.
    TapIdentity identity;
  };

  // Forks. The child keeps no descriptor of the parent's but those in `tap`:
  // the queues, if any, of the interface `tap_name`, whose link it then follows
  // from the start. So a child that was killed can be replaced at any time.
  static absl::StatusOr<AdminProcess> Start(
      const std::vector<base::UniqueFd>& tap = {},
      const std::string& tap_name = "");
  AdminProcess(AdminProcess&&) = default;
  AdminProcess& operator=(AdminProcess&&) = default;

  // Each asks; the answer is an event. One request of a kind at a time.
  void OpenTap(const TapRequest& tap);
  // A new one is in use: closes the child's copy of the one before, which it
  // keeps until then, since closing the last one takes the rtnl lock. There is
  // no answer.
  void DropOldTap() { Send(Kind::kDropOldTap, "", 0); }
  // What the TAP may hand out, and over how many of its queues.
  void SetTap(unsigned offloads, uint32_t queues) {
    Send(Kind::kSetTap, "", offloads, queues);
  }
  void Attach(const std::string& name) { Send(Kind::kAttach, name, 0); }
  void Detach(const std::string& name) { Send(Kind::kDetach, name, 0); }
  // Asks the vDPA bus for the type of an attached device.
  void Identify(const std::string& name) { Send(Kind::kIdentify, name, 0); }
  // Closes the child's copy of the TAP; with `remove` the interface goes with
  // the last one.
  void CloseTap(bool remove) { Send(Kind::kCloseTap, "", remove ? 1 : 0); }

  // For a parent that ends and does not wait, when opening the TAP may still
  // be under way: the child removes the interface if it has made it, closes it
  // and ends. No event.
  void Abandon() { Send(Kind::kAbandon, "", 0); }

  // Readable when an event waits.
  int fd() const { return socket_.get(); }

  // The next event; waits for it. Unavailable if the child has gone.
  absl::StatusOr<Event> Next();

 private:
  explicit AdminProcess(base::UniqueFd socket) : socket_(std::move(socket)) {}
  void Send(Kind kind, const std::string& name, uint32_t value,
            uint32_t queues = 0);

  base::UniqueFd socket_;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_ADMIN_PROCESS_H_
