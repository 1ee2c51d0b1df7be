// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_STATE_MIGRATION_STATE_H_
#define VDUSE_NET_STATE_MIGRATION_STATE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "net/device/device_state.h"
#include "net/wire/config_space.h"

namespace state {

// The state from which a driver can continue on another host, or under another
// kernel: see `vduse-net state save` and `vduse-net run --restore`.
struct MigrationState {
  net::MacAddress mac{};
  uint16_t mtu = 0;
  uint16_t queue_size = 0;  // largest
  net::DeviceState device;
};

// Formats the state as JSON, with the version of the format.
//   FailedPrecondition: the driver is active, no driver has used the device, or
//     the device's MAC address is unknown.
absl::StatusOr<std::string> FormatMigrationState(const MigrationState& state);

// Parses the text, which need not be trusted.
//   InvalidArgument: the text has another version or is damaged; the message
//     says what is wrong.
absl::StatusOr<MigrationState> ParseMigrationState(const std::string& text);

}  // namespace state

#endif  // VDUSE_NET_STATE_MIGRATION_STATE_H_
