// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_TAP_OPENER_H_
#define VDUSE_NET_DAEMON_TAP_OPENER_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "daemon/admin_process.h"
#include "net/path/tap.h"

namespace program {

// Opens what is asked for: the interface it was, if that is known and there,
// under its name of now; or the one of that name. Waits a little for somebody
// who is about to close it, unless `end_asked`. Takes the rtnl lock.
absl::StatusOr<std::vector<net::Tap>> OpenTapQueues(
    const AdminProcess::TapRequest& request,
    absl::FunctionRef<bool()> end_asked);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_TAP_OPENER_H_
