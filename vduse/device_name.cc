// SPDX-License-Identifier: Apache-2.0
#include "vduse/device_name.h"

#include <fmt/format.h>

#include <algorithm>

namespace vduse {
namespace {

bool IsLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9');
}

bool IsAllowed(char c) {
  return IsLetterOrDigit(c) ||
         std::string_view("-_.:@+").find(c) != std::string_view::npos;
}

// The name as the log shows it: characters that cannot be printed become '?'.
std::string Shown(std::string_view name) {
  std::string text(name.substr(0, 64));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return name.size() > text.size() ? text + "..." : text;
}

}  // namespace

absl::Status CheckDeviceName(std::string_view name) {
  const auto refused = [&](std::string_view why) {
    return absl::InvalidArgumentError(
        fmt::format("device name '{}' {}", Shown(name), why));
  };
  if (name.empty()) return refused("is empty");
  if (name.size() > kMaxDeviceNameBytes) {
    return refused(fmt::format("has {} characters, more than {}", name.size(),
                               kMaxDeviceNameBytes));
  }
  if (!std::all_of(name.begin(), name.end(), IsAllowed)) {
    return refused("has characters other than letters, digits and -_.:@+");
  }
  if (name.front() == '-' || name.front() == '.') {
    return refused("begins with '-' or '.'");
  }
  if (name == "control") {
    return refused("is that of VDUSE's control device");
  }
  return absl::OkStatus();
}

}  // namespace vduse
