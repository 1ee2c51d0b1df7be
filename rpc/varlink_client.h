// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_RPC_VARLINK_CLIENT_H_
#define VDUSE_NET_RPC_VARLINK_CLIENT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace rpc {

// Makes one call and returns the parameters of its answer. `timeout_ms` applies
// to the whole call.
//   NotFound: nobody listens at `path`.
//   PermissionDenied: the server does not answer this user.
//   FailedPrecondition: the method failed; the message is the error's parameter
//     "reason", or the error's name and all of its parameters.
//   DeadlineExceeded: no answer came in time.
absl::StatusOr<nlohmann::json> VarlinkCall(const std::string& path,
                                           std::string_view method,
                                           const nlohmann::json& parameters,
                                           int timeout_ms = 5000);

}  // namespace rpc

#endif  // VDUSE_NET_RPC_VARLINK_CLIENT_H_
