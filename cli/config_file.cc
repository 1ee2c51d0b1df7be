// SPDX-License-Identifier: Apache-2.0
#include "cli/config_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/status_text.h"
#include "base/text_file.h"

namespace cli {
namespace {

constexpr std::string_view kSuffix = ".conf";

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return "";
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// Left are the text between two quotes of one kind, or the text as it is.
//   InvalidArgument: there is one quote alone, or something behind the second.
absl::StatusOr<std::string> Unquoted(std::string_view text) {
  if (text.empty() || (text.front() != '"' && text.front() != '\'')) {
    return std::string(text);
  }
  const size_t end = text.find(text.front(), 1);
  if (end == std::string_view::npos) {
    return absl::InvalidArgumentError("a quote is not closed");
  }
  if (end + 1 != text.size()) {
    return absl::InvalidArgumentError(
        fmt::format("'{}' follows a closing quote", text.substr(end + 1)));
  }
  return std::string(text.substr(1, end - 1));
}

absl::StatusOr<ConfigEntry> ParseLine(std::string_view line) {
  if (line.front() == '[') {
    return absl::InvalidArgumentError(
        fmt::format("'{}' begins a section, and there are none: one file is "
                    "for one device",
                    line));
  }
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos) {
    return absl::InvalidArgumentError(
        fmt::format("'{}' is not of the form KEY = VALUE", line));
  }
  ConfigEntry entry;
  entry.key = std::string(Trimmed(line.substr(0, equals)));
  absl::StatusOr<std::string> value =
      Unquoted(Trimmed(line.substr(equals + 1)));
  if (!value.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("{}: {}", entry.key, base::Text(value.status())));
  }
  if (entry.key.empty()) return absl::InvalidArgumentError("a key is missing");
  if (value->empty()) {
    return absl::InvalidArgumentError(
        fmt::format("{}: a value is missing", entry.key));
  }
  entry.value = std::move(*value);
  return entry;
}

}  // namespace

absl::StatusOr<std::vector<ConfigEntry>> ParseConfig(const std::string& file,
                                                     std::string_view text) {
  std::vector<ConfigEntry> entries;
  const auto wrong = [&](int line, const std::string& why) {
    return absl::InvalidArgumentError(
        fmt::format("{}:{}: {}", file, line, why));
  };
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return absl::InvalidArgumentError(fmt::format("{} is not text", file));
  }
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    absl::StatusOr<ConfigEntry> entry = ParseLine(line);
    if (!entry.ok()) return wrong(number, base::Text(entry.status()));
    const auto before = std::find_if(
        entries.begin(), entries.end(),
        [&](const ConfigEntry& other) { return other.key == entry->key; });
    if (before != entries.end()) {
      return wrong(number, fmt::format("{} is already in line {}", entry->key,
                                       before->line));
    }
    entry->line = number;
    entries.push_back(std::move(*entry));
  }
  return entries;
}

absl::StatusOr<std::vector<ConfigEntry>> ReadConfig(const std::string& file) {
  const absl::StatusOr<std::string> text = base::ReadFile(file);
  if (!text.ok()) return text.status();
  return ParseConfig(file, *text);
}

std::optional<std::string> DeviceOfConfig(const std::string& file) {
  const std::string_view name =
      std::string_view(file).substr(file.rfind('/') + 1);
  if (!name.ends_with(kSuffix) || name.size() == kSuffix.size()) {
    return std::nullopt;
  }
  return std::string(name.substr(0, name.size() - kSuffix.size()));
}

}  // namespace cli
