// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_FILE_LIMIT_H_
#define VDUSE_NET_DAEMON_FILE_LIMIT_H_

#include <cstdint>

#include "absl/status/status.h"

namespace program {

// Open files that a device needs, whatever its number of queue pairs.
extern const uint64_t kNeededFiles;

// Raises the limit of open files as far as this process may.
//   ResourceExhausted: it then is still below `needed`; says what to do.
absl::Status RaiseFileLimit(uint64_t needed);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_FILE_LIMIT_H_
