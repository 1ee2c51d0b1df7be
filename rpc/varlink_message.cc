// SPDX-License-Identifier: Apache-2.0
#include "rpc/varlink_message.h"

namespace rpc {

using nlohmann::json;

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
