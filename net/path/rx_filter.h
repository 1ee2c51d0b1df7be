// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_RX_FILTER_H_
#define VDUSE_NET_NET_PATH_RX_FILTER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "net/wire/config_space.h"

namespace net {

// Commands of the class VIRTIO_NET_CTRL_RX (virtio 1.3, 5.1.6.5.1).
enum class RxMode : uint8_t {
  kPromisc,
  kAllMulti,
  kAllUni,
  kNoMulti,
  kNoUni,
  kNoBcast,
};
inline constexpr size_t kRxModes = 6;

// The addresses of one kind for which a driver wants packets. A driver that
// names more than kMaxEntries gets all packets of that kind: the driver's host
// filters the surplus, whereas a missing packet is lost.
struct MacTable {
  static constexpr size_t kMaxEntries = 64;

  uint8_t overflow = 0;
  uint8_t count = 0;
  std::array<MacAddress, kMaxEntries> macs{};

  void Add(const MacAddress& mac);
  bool Accepts(const MacAddress& mac) const;
  bool operator==(const MacTable&) const = default;
};

// Which packets a driver gets (virtio 1.3, 5.1.6.5.1 to 5.1.6.5.3). For() gives
// the initial filter; commands change it.
//
// A value, and policy only: no I/O, no allocation, no thread. It has no
// padding, so it can be stored byte by byte.
struct RxFilter {
  static constexpr uint16_t kVlans = 4096;

  uint8_t modes = 0;  // a bit for each RxMode
  MacAddress mac{};   // all zero: unknown, so every unicast passes
  MacTable unicast;
  MacTable multicast;
  std::array<uint8_t, kVlans / 8> vlans{};  // a bit for each VLAN

  // The initial filter for a driver that has negotiated `features`. With
  // CTRL_RX it passes broadcasts and the driver's own address, without CTRL_RX
  // every address. With CTRL_VLAN it passes no VLAN, without CTRL_VLAN every
  // VLAN. The driver's address is `mac` if the driver was told so (MAC).
  // Otherwise the driver has an address of its own and may say which; until
  // then, and if `mac` is unknown, every unicast address passes.
  static RxFilter For(uint64_t features, const MacAddress& mac);

  bool Is(RxMode mode) const;
  void Set(RxMode mode, bool on);

  // Requires id < kVlans.
  bool HasVlan(uint16_t id) const;
  void AddVlan(uint16_t id);
  void RemoveVlan(uint16_t id);

  // Whether the driver gets `frame`, which must have at least an Ethernet
  // header. Bytes after kLookBytes are not examined.
  static constexpr size_t kLookBytes = 16;
  bool Accepts(std::span<const uint8_t> frame) const;

  // Whether the driver gets all frames.
  bool AcceptsAll() const;

  // Whether this is a valid filter, for one that was read from storage.
  bool Valid() const;

  bool operator==(const RxFilter&) const = default;

 private:
  bool AcceptsAddress(const MacAddress& to) const;
};
static_assert(std::has_unique_object_representations_v<RxFilter>);

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_RX_FILTER_H_
