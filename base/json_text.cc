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

}  // namespace base
