// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_DEVICE_OPERATIONS_H_
#define VDUSE_NET_DAEMON_DEVICE_OPERATIONS_H_

#include <functional>
#include <string>

#include "daemon/sandbox_board.h"
#include "net/device/net_device.h"
#include "rpc/device_service.h"
#include "state/state_layout.h"

namespace program {

// What an operator can do with a device that is served. A setting is kept in
// `saved`, and written by `save`, before it is in force. `net`, `saved` and
// `board`, which may be null, must outlive the result.
rpc::DeviceOperations OperationsOf(const std::string& name, net::NetDevice& net,
                                   state::SavedState& saved,
                                   const std::function<void()>& save,
                                   const SandboxBoard* board);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_DEVICE_OPERATIONS_H_
