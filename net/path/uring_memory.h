// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_URING_MEMORY_H_
#define VDUSE_NET_NET_PATH_URING_MEMORY_H_

#include <liburing.h>

#include <cstdint>

#include "net/path/packet_port.h"

namespace net {

// The submission entries of an instance, and its completion entries: the kernel
// makes twice as many.
inline constexpr uint32_t kSubmissions = kMaxBatch;
inline constexpr uint32_t kCompletions = 2 * kSubmissions;

// Memory of ours for an io_uring instance: a page for the rings, and one for
// the submission entries.
struct UringMemory {
  uint8_t* rings = nullptr;
  uint8_t* sqes = nullptr;
  // Takes where the completion entries begin in `rings`.
  uint32_t* completions = nullptr;
};

// As io_uring_queue_init(), but with the rings in `memory`, which must be
// zeroed. They keep their content when the process ends. Returns 0 or a
// negative errno; EINVAL before Linux 6.5. End it with ExitUringIn().
int InitUringIn(const UringMemory& memory, unsigned flags, io_uring& ring);
void ExitUringIn(io_uring& ring);

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_URING_MEMORY_H_
