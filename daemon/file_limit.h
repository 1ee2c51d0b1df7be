// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_FILE_LIMIT_H_
#define VDUSE_NET_DAEMON_FILE_LIMIT_H_

#include <cstdint>

#include "absl/status/status.h"

namespace program {

// The number of open files that a device needs, however many queue pairs it
// has.
extern const uint64_t kNeededFiles;

// Raises the limit of open files as far as this process may.
//   ResourceExhausted: the limit is still below `needed`; the text says what to
//     do.
absl::Status RaiseFileLimit(uint64_t needed);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_FILE_LIMIT_H_
