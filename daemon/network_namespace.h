// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_NETWORK_NAMESPACE_H_
#define VDUSE_NET_DAEMON_NETWORK_NAMESPACE_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"

namespace program {

// Runs `work` with this thread in the network namespace of that inode, and
// returns to its own. 0 is its own. The namespace is looked for among those
// with a name (`ip netns`) and those of processes.
//   NotFound: there is none. Then nothing was run.
absl::Status InNamespace(uint64_t inode, const std::function<void()>& work);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_NETWORK_NAMESPACE_H_
