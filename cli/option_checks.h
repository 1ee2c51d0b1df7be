// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_CLI_OPTION_CHECKS_H_
#define VDUSE_NET_CLI_OPTION_CHECKS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "daemon/options.h"

namespace cli {

// Whether Linux lets an interface have that name: 1 to 15 bytes without '/',
// ':', '%' or blanks, which is none of ".", "..", "all" and "default".
//   InvalidArgument: it does not.
absl::Status CheckTapName(const std::string& name);

// What is odd about the coalescing that was asked for, for the log: a number
// that has no effect without another one, or beside a goal.
std::vector<std::string> CoalescingWarnings(const program::RunOptions& options);

}  // namespace cli

#endif  // VDUSE_NET_CLI_OPTION_CHECKS_H_
