// SPDX-License-Identifier: Apache-2.0
#include "base/json_text.h"

namespace base {

using nlohmann::json;

json ParseJson(std::string_view text) {
  bool deep = false;
  json document = json::parse(
      text,
      [&deep](int depth, json::parse_event_t, json&) {
        deep = deep || depth > kMaxJsonDepth;
        return !deep;
      },
      /*allow_exceptions=*/false);
  return deep ? json(json::value_t::discarded) : document;
}

std::string FormatJson(const nlohmann::json& value) {
  return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace base
