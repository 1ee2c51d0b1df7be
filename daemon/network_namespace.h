// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_NETWORK_NAMESPACE_H_
#define VDUSE_NET_DAEMON_NETWORK_NAMESPACE_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"

namespace program {

// Runs `work` with this thread in the network namespace of that inode, and then
// returns to the thread's own. Inode 0 means the thread's own. The namespace is
// searched for among named ones (`ip netns`) and those of processes.
//   NotFound: there is no such namespace; `work` did not run.
absl::Status InNamespace(uint64_t inode, const std::function<void()>& work);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_NETWORK_NAMESPACE_H_
