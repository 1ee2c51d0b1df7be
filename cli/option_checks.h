// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_CLI_OPTION_CHECKS_H_
#define VDUSE_NET_CLI_OPTION_CHECKS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "daemon/options.h"

namespace cli {

// Checks whether Linux allows this name for an interface: 1 to 15 bytes without
// '/', ':', '%' or blanks, and none of ".", "..", "all" and "default".
//   InvalidArgument: Linux does not allow the name.
absl::Status CheckTapName(const std::string& name);

// Warnings for the log about the requested coalescing: a number that has no
// effect without another one, or beside a goal.
std::vector<std::string> CoalescingWarnings(const program::RunOptions& options);

}  // namespace cli

#endif  // VDUSE_NET_CLI_OPTION_CHECKS_H_
