// SPDX-License-Identifier: Apache-2.0
#include "rpc/varlink_message.h"

#include <fmt/format.h>

#include <cstring>

namespace rpc {

using nlohmann::json;

absl::StatusOr<sockaddr_un> SocketAddress(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        fmt::format("{}: longer than the name of a socket may be ({} bytes)",
                    path, sizeof(address.sun_path) - 1));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

std::string MessageText(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

const std::string* TextMember(const json& object, const char* name) {
  const auto member = object.find(name);
  return member == object.end() ? nullptr
                                : member->get_ptr<const json::string_t*>();
}

bool FlagMember(const json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end()) return false;
  const auto* flag = member->get_ptr<const json::boolean_t*>();
  return flag != nullptr && *flag;
}

std::optional<uint64_t> WholeNumber(const json& value) {
  if (const auto* number = value.get_ptr<const json::number_unsigned_t*>()) {
    return *number;
  }
  const auto* number = value.get_ptr<const json::number_integer_t*>();
  if (number == nullptr || *number < 0) return std::nullopt;
  return static_cast<uint64_t>(*number);
}

}  // namespace rpc
