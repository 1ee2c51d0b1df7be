// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_EXIT_CODES_H_
#define VDUSE_NET_BASE_EXIT_CODES_H_

#include "absl/status/status.h"

namespace base {

// Exit codes of the program; documented in docs/vduse-net.8.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,          // see the log
  kExitUsage = 2,            // the command line is wrong, or does not fit the
                             // device that is to be adopted
  kExitHost = 3,             // this host or user cannot run the device
  kExitBroken = 4,           // the kernel has marked the device broken
  kExitNoControlQueue = 10,  // `check`: it runs, but without a control queue
};

// Logs `status` as an error. Returns `code`.
ExitCode Fail(ExitCode code, const absl::Status& status);

}  // namespace base

#endif  // VDUSE_NET_BASE_EXIT_CODES_H_
