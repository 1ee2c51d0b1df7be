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

// What a device must be for a driver to go on with it on another host, or
// under another kernel: `vduse-net state save`, `vduse-net run --restore`.
struct MigrationState {
  net::MacAddress mac{};
  uint16_t mtu = 0;
  uint16_t queue_size = 0;  // largest
  net::DeviceState device;
};

// As text (JSON), with the version of the format.
//   FailedPrecondition: the driver is active, or there was none.
absl::StatusOr<std::string> FormatMigrationState(const MigrationState& state);

// The text is not to be trusted.
//   InvalidArgument: of another version, or damaged; names what is wrong.
absl::StatusOr<MigrationState> ParseMigrationState(const std::string& text);

}  // namespace state

#endif  // VDUSE_NET_STATE_MIGRATION_STATE_H_
