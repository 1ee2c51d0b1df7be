// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_CLI_COALESCE_COMMAND_H_
#define VDUSE_NET_CLI_COALESCE_COMMAND_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rpc/device_service.h"

namespace cli {

// `vduse-net coalesce set`: a device, and the settings to change.
struct CoalesceChange {
  std::string device;
  rpc::SettingChange rx;
  rpc::SettingChange tx;
};

// Parses "dev vn0 rx-usecs 100 adaptive-tx on target-latency-usecs 50":
// iproute2's grammar with ethtool's words. "dev" is optional. A goal applies to
// the directions that the words make adaptive.
//   InvalidArgument: the text says which word is wrong, and why.
absl::StatusOr<CoalesceChange> ParseCoalesceChange(
    const std::vector<std::string>& words);

// Parses the same words without the device, and adds them to `change`.
//   InvalidArgument: as above. `change` may have been changed in part.
absl::Status ParseSettings(const std::vector<std::string>& words,
                           CoalesceChange& change);

// The answer of GetCoalescing as text for people.
std::string FormatCoalescing(const nlohmann::json& answer);

enum class OutputFormat { kText, kJson };

// Shows one device, or all devices that are served with this directory if
// `name` is empty. JSON is an array. If some of all devices fail to
// answer, the first failure is the error, and the others are printed.
//   NotFound: the named device is not served.
absl::Status ShowCoalescing(const std::string& state_dir,
                            const std::string& name, OutputFormat format);

// Returns the parts of `change` that have no effect. `now` is the present
// setting as GetCoalescing returns it. Without effect are usecs or frames while
// the other is 0, and fixed numbers while the direction is adaptive.
std::vector<std::string> WithoutEffect(const CoalesceChange& change,
                                       const nlohmann::json& now);

// Makes the change. Logs if the driver's own parameters keep it from taking
// effect now, and what WithoutEffect() returns.
absl::Status ChangeCoalescing(const std::string& state_dir,
                              const CoalesceChange& change);

}  // namespace cli

#endif  // VDUSE_NET_CLI_COALESCE_COMMAND_H_
