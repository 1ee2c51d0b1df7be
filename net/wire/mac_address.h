// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_WIRE_MAC_ADDRESS_H_
#define VDUSE_NET_NET_WIRE_MAC_ADDRESS_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace net {

using MacAddress = std::array<uint8_t, 6>;

// Parses an address of the form "52:54:00:12:34:56".
//   InvalidArgument: the text is not of that form.
absl::StatusOr<MacAddress> ParseMac(const std::string& text);

// Like ParseMac(), for the address of a device.
//   InvalidArgument: as for ParseMac(), or the address is multicast or all
//     zero.
absl::StatusOr<MacAddress> ParseDeviceMac(const std::string& text);

std::string FormatMac(const MacAddress& mac);

// A random unicast address, marked as locally administered.
MacAddress RandomMac();

}  // namespace net

#endif  // VDUSE_NET_NET_WIRE_MAC_ADDRESS_H_
