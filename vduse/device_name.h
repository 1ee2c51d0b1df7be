// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_DEVICE_NAME_H_
#define VDUSE_NET_VDUSE_DEVICE_NAME_H_

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"

namespace vduse {

// With ".state" behind it a name still is one of a file.
inline constexpr size_t kMaxDeviceNameBytes = 249;

// Whether a device may have that name, which is also one of a file in /dev,
// of one in the state directory, and of a line in the log: letters, digits and
// "-_.:@+", not beginning with a '-' or '.'; and not "control", which is
// /dev/vduse's own.
//   InvalidArgument: it may not; says why.
absl::Status CheckDeviceName(std::string_view name);

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_DEVICE_NAME_H_
