// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_DEVICE_CHILD_H_
#define VDUSE_NET_DAEMON_DEVICE_CHILD_H_

#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "daemon/pulse_board.h"
#include "daemon/sandbox.h"
#include "net/device/device_state.h"
#include "net/device/net_device.h"
#include "state/state_file.h"

namespace program {

// What a device process gets from its parent by the fork.
struct DeviceSetup {
  std::string name;
  net::NetDevice::Options options;  // without `pulses` and `persist`
  // The device as it was made. What the state file says is newer.
  state::SavedState saved;
  // What the driver of a new device resumes.
  std::optional<net::DeviceState> restored;
  std::string restored_from;  // the file's name, for messages
  state::StateFile* state = nullptr;
  int journal = -1;                  // see journal_memory.h; or -1
  int operator_listener = -1;        // or -1
  int hand_over_listener = -1;       // or -1
  uid_t operator_user = 0;           // besides root
  const Sandbox* sandbox = nullptr;  // for the device process
};

// The main function of a device process (see DeviceProcess): takes orders from
// `socket`, and serves the device once it is told to.
[[noreturn]] void RunDeviceChild(const DeviceSetup& setup,
                                 base::UniqueFd socket, PulseBoard& pulses);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_DEVICE_CHILD_H_
