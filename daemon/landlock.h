// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_LANDLOCK_H_
#define VDUSE_NET_DAEMON_LANDLOCK_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace program {

// The version of Landlock's interface that the kernel has: 1 limits access to
// files, 4 also binding and connecting of TCP sockets, 6 also signals and
// abstract UNIX sockets.
//   Unavailable: it has none, or it is turned off.
absl::StatusOr<int> LandlockAbi();

// Takes all rights that version `abi` knows from the calling thread and from
// the threads and processes that it starts. Files that are open stay usable.
// Needs no_new_privs.
absl::Status EnterLandlock(int abi);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_LANDLOCK_H_
