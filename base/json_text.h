// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_JSON_TEXT_H_
#define VDUSE_NET_BASE_JSON_TEXT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace base {

// No document that this program reads is nested this deep.
inline constexpr int kMaxJsonDepth = 32;

// Parses a JSON document from an untrusted source. Returns a discarded value if
// `text` is not JSON or is nested deeper than kMaxJsonDepth: copying a JSON
// value takes stack for each level. The caller bounds the size of `text`.
nlohmann::json ParseJson(std::string_view text);

// Formats a value for a file or for a command's output: indented, with a
// newline at the end. Invalid UTF-8 is replaced.
std::string FormatJson(const nlohmann::json& value);

}  // namespace base

#endif  // VDUSE_NET_BASE_JSON_TEXT_H_
