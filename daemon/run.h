// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_RUN_H_
#define VDUSE_NET_DAEMON_RUN_H_

#include "base/exit_codes.h"
#include "daemon/options.h"

namespace program {

// `vduse-net run`: creates the device, or adopts the one that a killed process
// left, and serves it until SIGTERM or SIGINT, which detach and destroy
// it. A second signal ends the process at once and leaves the device as it is.
base::ExitCode Run(const RunOptions& options);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_RUN_H_
