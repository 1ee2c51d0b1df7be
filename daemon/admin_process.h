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
#include "daemon/sandbox.h"
#include "net/path/tap.h"

namespace program {

// A child process that makes every call that can wait for a lock of the host's
// network or of the vDPA bus: opening a TAP, attaching, detaching, and watching
// the link.
//
// The holder of such a lock may be waiting for *our* device. If the process
// that serves the device made such a call itself, both would wait for each
// other. If it were then killed, no other process could open the device: a
// thread that waits for a lock in the kernel cannot die, and keeps all
// descriptors of its process open. The child never has the device's descriptor,
// so it may wait for as long as necessary. The child also keeps a copy of the
// TAP's descriptors, because closing the last one takes the rtnl lock.
//
// The child exits when the other end of its socket is closed, that is when its
// parent has ended. If it is waiting in a call or has unread requests, it
// finishes these first. An AdminProcess may be used by one thread only.
class AdminProcess {
 public:
  enum class Kind : uint32_t {
    // Requests, and the events that answer them.
    kOpenTap,   // open or create the TAP; the answer has its queues
    kSetTap,    // set the TAP's offloads and attach or detach its queues
    kAttach,    // attach the device to the vDPA bus
    kDetach,    // detach the device from the vDPA bus
    kIdentify,  // ask the vDPA bus for the device's type
    kCloseTap,  // close the child's copy of the TAP
    // Requests without an answer.
    kAbandon,     // remove a TAP that the child created, close it, and end
    kDropOldTap,  // close the child's copy of the previous TAP
    // Events that nobody requested.
    kLink,         // the state of the TAP's link, at the start or changed
    kTapGone,      // the TAP was deleted
    kTapAppeared,  // an interface of the TAP's name exists again
  };

  // What becomes of a closed TAP's interface.
  enum class OnClose : uint32_t { kKeep, kRemove };

  // Identifies an interface: its index in the network namespace whose inode is
  // `name_space`. 0: unknown.
  struct TapIdentity {
    uint32_t index = 0;
    uint64_t name_space = 0;
    bool operator==(const TapIdentity&) const = default;
  };

  // The answer to a request, or an unrequested event of the TAP; see Kind.
  struct Event {
    Kind kind{};
    absl::Status status;         // the result of the request
    std::vector<net::Tap> tap;   // kOpenTap: the TAP's queues
    bool tap_created = false;    // kOpenTap
    bool tap_knows_uso = false;  // kOpenTap
    LinkSpeed tap_speed;         // kOpenTap
    TapIdentity tap_identity;    // kOpenTap, kLink
    std::string tap_name;        // kOpenTap, kLink: its current name
    bool link_up = false;        // kOpenTap, kLink
    uint32_t device_id = 0;      // kIdentify: the virtio device type
  };

  struct TapRequest {
    std::string name;
    std::optional<uint16_t> mtu;  // unchanged if absent
    uint32_t queues = 1;
    net::Tap::IfAbsent if_absent = net::Tap::IfAbsent::kCreate;
    // The interface to open if it still exists, whatever its name and namespace
    // are now.
    TapIdentity identity;
  };

  // Forks. Of the parent's descriptors the child keeps its socket, the standard
  // ones, the log's, and those in `tap`: the queues, if any, of the interface
  // `tap_name`. With queues, the child follows the link of that interface from
  // the start. So a child that was killed can be replaced at any time. The
  // caller waits for the child (waitpid).
  // The child enters a sandbox, if there are options for one.
  static absl::StatusOr<AdminProcess> Start(
      const SandboxOptions* sandbox,
      const std::vector<base::UniqueFd>& tap = {},
      const std::string& tap_name = "");
  AdminProcess(AdminProcess&&) = default;
  AdminProcess& operator=(AdminProcess&&) = default;

  // Each of the following sends a request; the answer is an event. At most one
  // request of each kind at a time.
  void OpenTap(const TapRequest& tap);
  // A new TAP is in use: closes the child's copy of the previous one. The child
  // keeps that copy until then, because closing the last one takes the rtnl
  // lock. There is no answer.
  void DropOldTap() { Send(Kind::kDropOldTap); }
  // Sets the TAP's offloads, and how many of its queues are attached.
  void SetTap(unsigned offloads, uint32_t queues) {
    Send(Kind::kSetTap, "", offloads, queues);
  }
  void Attach(const std::string& name) { Send(Kind::kAttach, name); }
  void Detach(const std::string& name) { Send(Kind::kDetach, name); }
  // Asks the vDPA bus for the type of an attached device.
  void Identify(const std::string& name) { Send(Kind::kIdentify, name); }
  // Closes the child's copy of the TAP. With kRemove, the interface goes away
  // with its last descriptor.
  void CloseTap(OnClose interface) {
    Send(Kind::kCloseTap, "", static_cast<uint32_t>(interface));
  }

  // For a parent that exits while an OpenTap() request may still be running.
  // The child removes the interface if it has created it, closes it, and ends.
  // There is no event.
  void Abandon() { Send(Kind::kAbandon); }

  // Readable when an event is waiting.
  int fd() const { return socket_.get(); }

  // Waits for the next event.
  //   Unavailable: the child has ended.
  absl::StatusOr<Event> Next();

 private:
  explicit AdminProcess(base::UniqueFd socket) : socket_(std::move(socket)) {}
  void Send(Kind kind, const std::string& name = "", uint32_t value = 0,
            uint32_t queues = 0);

  base::UniqueFd socket_;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_ADMIN_PROCESS_H_
