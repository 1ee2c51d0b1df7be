// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_DEVICE_NAME_H_
#define VDUSE_NET_VDUSE_DEVICE_NAME_H_

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"

namespace vduse {

// Such a name with ".state" appended is still a valid file name.
inline constexpr size_t kMaxDeviceNameBytes = 249;

// Checks a device's name. The name is also that of a file in /dev and of a file
// in the state directory, and it appears in log lines. It may have letters,
// digits and "-_.:@+", must not begin with '-' or '.', and must not be
// "control", the name of VDUSE's own file in /dev/vduse.
//   InvalidArgument: the name is not allowed; the message says why.
absl::Status CheckDeviceName(std::string_view name);

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_DEVICE_NAME_H_
