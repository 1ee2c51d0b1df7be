// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_RPC_VARLINK_CLIENT_H_
#define VDUSE_NET_RPC_VARLINK_CLIENT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace rpc {

// One call, and its answer's parameters. `timeout_ms` for all of it.
//   NotFound: nobody listens at `path`.
//   PermissionDenied: the caller is not who the server answers.
//   FailedPrecondition: the method's error; the message is its parameter
//     "reason", or names the error and all of its parameters.
//   DeadlineExceeded: no answer in time.
absl::StatusOr<nlohmann::json> VarlinkCall(const std::string& path,
                                           std::string_view method,
                                           const nlohmann::json& parameters,
                                           int timeout_ms = 5000);

}  // namespace rpc

#endif  // VDUSE_NET_RPC_VARLINK_CLIENT_H_
