// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_TAP_OPENER_H_
#define VDUSE_NET_DAEMON_TAP_OPENER_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "daemon/admin_process.h"
#include "net/path/tap.h"

namespace program {

// Opens the interface of the request's identity under its current name, if it
// is known and still exists; otherwise the interface of the request's name. If
// another process is about to close the TAP, waits a little, unless
// `end_asked`. Takes the rtnl lock.
absl::StatusOr<std::vector<net::Tap>> OpenTapQueues(
    const AdminProcess::TapRequest& request,
    absl::FunctionRef<bool()> end_asked);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_TAP_OPENER_H_
