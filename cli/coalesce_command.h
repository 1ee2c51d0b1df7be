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

// `vduse-net coalesce set`: a device, and what is to be otherwise about it.
struct CoalesceChange {
  std::string device;
  rpc::SettingChange rx;
  rpc::SettingChange tx;
};

// "dev vn0 rx-usecs 100 adaptive-tx on target-latency-usecs 50": iproute2's
// grammar, ethtool's words. "dev" may be left out. A goal is for the directions
// that the words make adaptive.
//   InvalidArgument: says what is wrong with which word.
absl::StatusOr<CoalesceChange> ParseCoalesceChange(
    const std::vector<std::string>& words);

// What GetCoalescing answers, for people.
std::string FormatCoalescing(const nlohmann::json& answer);

// One device, or all that are served with this directory if `name` is empty.
// Prints text, or a JSON array. Of all, the first that fails to answer is the
// error, and the others are printed.
//   NotFound: the one that is named is not served.
absl::Status ShowCoalescing(const std::string& state_dir,
                            const std::string& name, bool as_json);

// What of a change has no effect by the setting that is in force `now`, as
// GetCoalescing answers it: one of two numbers, or numbers beside adaptive.
std::vector<std::string> WithoutEffect(const CoalesceChange& change,
                                       const nlohmann::json& now);

// Says if the driver's own requests keep it from having an effect now, and
// what WithoutEffect() says.
absl::Status ChangeCoalescing(const std::string& state_dir,
                              const CoalesceChange& change);

}  // namespace cli

#endif  // VDUSE_NET_CLI_COALESCE_COMMAND_H_
