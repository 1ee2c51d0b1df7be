// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_PARSE_NUMBER_H_
#define VDUSE_NET_BASE_PARSE_NUMBER_H_

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace base {

// Parses all of `text` as a number, without blanks or a sign other than '-'.
// Returns nothing for any other text, or if the type cannot hold the value.
template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

}  // namespace base

#endif  // VDUSE_NET_BASE_PARSE_NUMBER_H_
