// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_RPC_DEVICE_CLIENT_H_
#define VDUSE_NET_RPC_DEVICE_CLIENT_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace rpc {

// Calls a method of a served device; see device_service.h.
//   InvalidArgument: `name` cannot be a device's name.
//   NotFound: no such device is served with this state directory.
//   Others: see VarlinkCall().
absl::StatusOr<nlohmann::json> AskDevice(const std::string& state_dir,
                                         const std::string& name,
                                         std::string_view method,
                                         const nlohmann::json& parameters);

// Members of an answer. A process of another release may answer differently: a
// missing member is 0, "?", an empty object, or an empty array.
uint64_t NumberIn(const nlohmann::json& object, const char* name);
std::string TextIn(const nlohmann::json& object, const char* name);
const nlohmann::json& ObjectIn(const nlohmann::json& object, const char* name);
const nlohmann::json& ArrayIn(const nlohmann::json& object, const char* name);

}  // namespace rpc

#endif  // VDUSE_NET_RPC_DEVICE_CLIENT_H_
