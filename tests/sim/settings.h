// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SIM_SETTINGS_H_
#define VDUSE_NET_TESTS_SIM_SETTINGS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "coalesce/coalescer.h"
#include "net/wire/mac_address.h"
#include "tests/sim/world.h"

namespace sim {

// The driver's address, and that of another host.
inline constexpr net::MacAddress kMac = {2, 0, 0, 0, 0, 1};
inline constexpr net::MacAddress kForeignMac = {2, 0, 0, 0, 0, 9};

// A header and a frame of the largest MTU.
inline constexpr size_t kLargestPacket = 12 + 14 + 9000;

coalesce::Setting RandomCoalescing(World& world);

// What is the same in the whole run, and chosen by its seed.
struct Settings {
  explicit Settings(World& world);

  // One line.
  std::string Text() const;

  uint32_t pairs = 1;
  uint16_t mtu = 1500;
  uint64_t features = 0;  // that the device offers
  uint32_t rx_size = 256;
  uint32_t tx_size = 256;
  uint16_t base = 0;  // at which the indexes of a new driver's rings begin
  bool tx_napi = true;
  bool timer_poll = false;
  bool busy_poll = false;
  bool io_uring = false;
  coalesce::Setting rx;
  coalesce::Setting tx;
};

}  // namespace sim

#endif  // VDUSE_NET_TESTS_SIM_SETTINGS_H_
