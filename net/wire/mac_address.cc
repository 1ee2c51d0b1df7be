// SPDX-License-Identifier: Apache-2.0
#include "net/wire/mac_address.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <charconv>

namespace net {
namespace {

absl::Status BadMac(const std::string& text, const char* why) {
  return absl::InvalidArgumentError(
      fmt::format("MAC address '{}' {}", text, why));
}

}  // namespace

absl::StatusOr<MacAddress> ParseMac(const std::string& text) {
  constexpr char kForm[] = "is not of the form 52:54:00:12:34:56";
  MacAddress mac{};
  if (text.size() != 17) return BadMac(text, kForm);
  for (size_t i = 0; i < mac.size(); ++i) {
    const char* first = text.data() + 3 * i;
    const auto [end, error] = std::from_chars(first, first + 2, mac[i], 16);
    if (error != std::errc() || end != first + 2 ||
        (i + 1 < mac.size() && *end != ':')) {
      return BadMac(text, kForm);
    }
  }
  return mac;
}

absl::StatusOr<MacAddress> ParseDeviceMac(const std::string& text) {
  absl::StatusOr<MacAddress> mac = ParseMac(text);
  if (!mac.ok()) return mac;
  if (((*mac)[0] & 1) != 0) return BadMac(text, "is a multicast address");
  if (*mac == MacAddress{}) return BadMac(text, "is all zero");
  return mac;
}

std::string FormatMac(const MacAddress& mac) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0],
                     mac[1], mac[2], mac[3], mac[4], mac[5]);
}

MacAddress RandomMac() {
  MacAddress mac{};
  // getrandom(2) never returns fewer than six bytes.
  [[maybe_unused]] ssize_t n = getrandom(mac.data(), mac.size(), 0);
  mac[0] = static_cast<uint8_t>((mac[0] & 0xfe) | 0x02);
  return mac;
}

}  // namespace net
