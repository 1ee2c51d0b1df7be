// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_CLI_CHECK_H_
#define VDUSE_NET_CLI_CHECK_H_

#include "base/exit_codes.h"

namespace cli {

// `vduse-net check`: says on stdout whether this host can run a device, in
// which mode, and what to do about what is missing; as JSON if `as_json`.
base::ExitCode Check(bool as_json);

}  // namespace cli

#endif  // VDUSE_NET_CLI_CHECK_H_
