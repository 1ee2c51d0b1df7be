// SPDX-License-Identifier: Apache-2.0
//
// What both sides of varlink need: where it is spoken, and how to read and
// write what is said.
#ifndef VDUSE_NET_RPC_VARLINK_MESSAGE_H_
#define VDUSE_NET_RPC_VARLINK_MESSAGE_H_

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace rpc {

// The interface that every service has.
inline constexpr std::string_view kVarlinkService = "org.varlink.service";

// Of a socket with that file name.
//   InvalidArgument: the name is too long.
absl::StatusOr<sockaddr_un> SocketAddress(const std::string& path);

// A message without the NUL byte that ends it. What is not UTF-8 is replaced.
std::string MessageText(const nlohmann::json& value);

// A member of an object that is text; null if there is none.
const std::string* TextMember(const nlohmann::json& object, const char* name);

// Whether a member of an object is there and true.
bool FlagMember(const nlohmann::json& object, const char* name);

// A JSON number that is whole and not negative, or nothing.
std::optional<uint64_t> WholeNumber(const nlohmann::json& value);

}  // namespace rpc

#endif  // VDUSE_NET_RPC_VARLINK_MESSAGE_H_
