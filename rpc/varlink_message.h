// SPDX-License-Identifier: Apache-2.0
//
// What the client and the server of varlink share: reading and writing
// messages.
#ifndef VDUSE_NET_RPC_VARLINK_MESSAGE_H_
#define VDUSE_NET_RPC_VARLINK_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace rpc {

// The interface that every service has.
inline constexpr std::string_view kVarlinkService = "org.varlink.service";

// What one read of a socket takes.
inline constexpr size_t kVarlinkReadBytes = 16 * 1024;

// The text of a message, without the NUL byte that ends it. Invalid UTF-8 is
// replaced.
std::string MessageText(const nlohmann::json& value);

// A text member of an object; null if there is none.
const std::string* TextMember(const nlohmann::json& object, const char* name);

// Whether an object has that member and it is true.
bool FlagMember(const nlohmann::json& object, const char* name);

// The value of a whole, non-negative JSON number; otherwise nothing.
std::optional<uint64_t> WholeNumber(const nlohmann::json& value);

}  // namespace rpc

#endif  // VDUSE_NET_RPC_VARLINK_MESSAGE_H_
