// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_JSON_TEXT_H_
#define VDUSE_NET_BASE_JSON_TEXT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace base {

// Nothing that this program reads is nested as deep.
inline constexpr int kMaxJsonDepth = 32;

// A JSON document of somebody else's, or a discarded value if it is none, or
// is nested too deep: copies of JSON values take stack for each level. The
// caller bounds the size of the text.
nlohmann::json ParseJson(std::string_view text);

// For a file, or for who reads what a command prints: indented, and with a
// line's end. What is not UTF-8 is replaced.
std::string FormatJson(const nlohmann::json& value);

}  // namespace base

#endif  // VDUSE_NET_BASE_JSON_TEXT_H_
