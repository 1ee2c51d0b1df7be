// SPDX-License-Identifier: Apache-2.0
#include "daemon/tap_opener.h"

#include <chrono>
#include <string>
#include <thread>

#include "daemon/network_namespace.h"
#include "daemon/rtnl.h"

namespace program {
namespace {

using Queues = std::vector<net::Tap>;

constexpr std::chrono::milliseconds kBusyPause(10);
constexpr int kBusyTries = 200;

// A killed process's child may be about to close its copy, so a busy TAP is
// tried again.
absl::StatusOr<Queues> OpenNamed(const std::string& name, uint32_t queues,
                                 net::Tap::IfAbsent if_absent,
                                 absl::FunctionRef<bool()> end_asked) {
  absl::StatusOr<Queues> tap = net::Tap::Open(name, queues, if_absent);
  for (int i = 0; i < kBusyTries && absl::IsFailedPrecondition(tap.status());
       ++i) {
    if (end_asked()) break;
    std::this_thread::sleep_for(kBusyPause);
    tap = net::Tap::Open(name, queues, if_absent);
  }
  return tap;
}

// Opens the interface of that index in the network namespace of this thread.
absl::StatusOr<Queues> OpenIndex(uint32_t index, uint32_t queues,
                                 absl::FunctionRef<bool()> end_asked) {
  absl::StatusOr<RtnlSocket> rtnl = RtnlSocket::Open();
  if (!rtnl.ok()) return rtnl.status();
  const absl::StatusOr<Link> link = rtnl->Find(static_cast<int>(index));
  if (!link.ok()) return link.status();
  if (!link->is_tap) return absl::NotFoundError("no TAP has that index");
  return OpenNamed(link->name, queues, net::Tap::IfAbsent::kFail, end_asked);
}

}  // namespace

absl::StatusOr<Queues> OpenTapQueues(const AdminProcess::TapRequest& request,
                                     absl::FunctionRef<bool()> end_asked) {
  if (request.identity.index != 0) {
    absl::StatusOr<Queues> known;
    const absl::Status entered = InNamespace(request.identity.name_space, [&] {
      known = OpenIndex(request.identity.index, request.queues, end_asked);
    });
    // If the interface is gone, another TAP may have its name. A busy one was
    // waited for.
    if (entered.ok() && !absl::IsNotFound(known.status())) return known;
  }
  return OpenNamed(request.name, request.queues, request.if_absent, end_asked);
}

}  // namespace program
