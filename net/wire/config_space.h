// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_WIRE_CONFIG_SPACE_H_
#define VDUSE_NET_NET_WIRE_CONFIG_SPACE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "net/wire/mac_address.h"

namespace net {

// The smallest and largest MTU a device may state (virtio 1.3, 5.1.4.1).
inline constexpr uint16_t kMinMtu = 68;
inline constexpr uint16_t kMaxMtu = 65535;

inline constexpr uint32_t kMaxSpeed = 0x7fffffff;
// The speed of a TAP. The bonding driver never uses an interface without a
// speed in an 802.3ad bond.
inline constexpr uint32_t kDefaultSpeed = 10'000;
inline constexpr uint8_t kDuplexHalf = 0;
inline constexpr uint8_t kDuplexFull = 1;

// struct virtio_net_config (virtio 1.3, 5.1.4), little-endian. The kernel reads
// its own version of the struct in one piece and shows nothing at all if the
// space is shorter; `reserved` makes the space long enough.
struct ConfigSpace {
  MacAddress mac{};
  uint16_t status = 0;
  uint16_t max_virtqueue_pairs = 1;
  uint16_t mtu = 1500;
  uint32_t speed = kDefaultSpeed;  // in Mbit/s
  uint8_t duplex = kDuplexFull;
  std::array<uint8_t, 47> reserved{};

  std::vector<uint8_t> Bytes() const {
    std::vector<uint8_t> bytes(sizeof(ConfigSpace));
    std::memcpy(bytes.data(), this, sizeof(ConfigSpace));
    return bytes;
  }
};
static_assert(sizeof(ConfigSpace) == 64);
static_assert(offsetof(ConfigSpace, status) == 6);
static_assert(offsetof(ConfigSpace, mtu) == 10);
static_assert(offsetof(ConfigSpace, duplex) == 16);

// The most queue pairs that a vduse-net device may have.
inline constexpr uint32_t kMaxQueuePairs = 16;

inline constexpr uint16_t kStatusLinkUp = 1;
inline constexpr uint16_t kStatusAnnounce = 2;

}  // namespace net

#endif  // VDUSE_NET_NET_WIRE_CONFIG_SPACE_H_
