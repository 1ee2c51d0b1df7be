// SPDX-License-Identifier: Apache-2.0
//
// How a new supervisor takes over from a device process whose supervisor has
// been killed. The device process goes on meanwhile. It gives the TAP and the
// journal to the new supervisor, and ends when that is ready; so nothing that
// reaches the TAP is lost, and no packet is repeated.
#ifndef VDUSE_NET_DAEMON_HAND_OVER_H_
#define VDUSE_NET_DAEMON_HAND_OVER_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace program {

// The path of the socket on which a device's process waits for a supervisor.
std::string HandOverSocket(const std::string& state_dir,
                           const std::string& name);

// A TAP as a process has it open.
struct HeldTap {
  std::vector<base::UniqueFd> queues;
  base::UniqueFd drops;  // from net::PortDrops::OpenFile(); may be empty
  bool link_up = false;
};

// What a device process passes on.
struct Estate {
  HeldTap tap;
  base::UniqueFd journal;  // see journal_memory.h; may be empty
};

// Takes over from the process that listens at `path`. When this returns, that
// process has ended, or ends at once. If it does not answer within 1 s, or does
// not end within 2 s after its answer, `kill` is called, which has to kill it;
// without an answer the result is empty.
//   NotFound: no process listens there.
//   FailedPrecondition: it is of a release that this one does not know.
//   Any error of `kill`.
absl::StatusOr<Estate> TakeOver(const std::string& path,
                                const std::function<absl::Status()>& kill);

// The side of the device process. One thread. Never waits.
class HandOver {
 public:
  // `listener` is a listening socket of the type SOCK_SEQPACKET. Root and
  // `owner` may take over.
  HandOver(base::UniqueFd listener, uid_t owner)
      : listener_(std::move(listener)), owner_(owner) {}

  // Readable when there is something to do.
  int fd() const { return peer_ ? peer_.get() : listener_.get(); }

  // Offers `estate` to one who connects. True once the offer is taken: then
  // this process has to end.
  [[nodiscard]] bool Serve(const Estate& estate);

 private:
  bool Offer(const Estate& estate) const;

  base::UniqueFd listener_;
  base::UniqueFd peer_;
  uid_t owner_;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_HAND_OVER_H_
