// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_OPTIONS_H_
#define VDUSE_NET_DAEMON_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "coalesce/coalescer.h"
#include "net/config_space.h"

namespace program {

// The command line of `vduse-net run`.
struct RunOptions {
  std::string name;
  std::string tap;
  std::optional<net::MacAddress> mac;  // random if absent
  std::optional<uint16_t> mtu;         // 1500 if absent
  uint16_t queue_size = 256;
  bool attach = false;
  coalesce::Params rx;
  coalesce::Params tx;
  std::string state_dir = "/run/vduse-net";
};

// "52:54:00:12:34:56". Unicast only.
absl::StatusOr<net::MacAddress> ParseMac(const std::string& text);
std::string FormatMac(const net::MacAddress& mac);

// A random unicast address, marked as locally administered.
net::MacAddress RandomMac();

}  // namespace program

#endif  // VDUSE_NET_DAEMON_OPTIONS_H_
