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

// Addresses of one kind that a driver wants packets for. A driver that names
// more than there is room for gets all packets of that kind: what is too much
// its host filters again, what is missing is lost.
struct MacTable {
  static constexpr size_t kMaxEntries = 64;

  uint8_t overflow = 0;
  uint8_t count = 0;
  std::array<MacAddress, kMaxEntries> macs{};

  void Add(const MacAddress& mac);
  bool Accepts(const MacAddress& mac) const;
  bool operator==(const MacTable&) const = default;
};

// Which packets a driver is sent (virtio 1.3, 5.1.6.5.1 to 5.1.6.5.3). It
// begins as For() has it and is changed by commands.
//
// A value, and policy alone: no I/O, no allocation, no thread. All bytes and no
// padding, so that it can be kept as it is.
struct RxFilter {
  static constexpr uint16_t kVlans = 4096;

  uint8_t modes = 0;  // a bit for each RxMode
  MacAddress mac{};   // all zero if not known: it gets every unicast address
  MacTable unicast;
  MacTable multicast;
  std::array<uint8_t, kVlans / 8> vlans{};  // a bit for each

  // What a driver that has negotiated `features` gets before it has set
  // anything: with CTRL_RX broadcasts and its own address, without it every
  // address; with CTRL_VLAN no VLAN, without it each. Its address is `mac` if
  // it was told so (MAC). Otherwise it has one of its own and may say which:
  // until then, as where `mac` is not known, it gets every unicast address.
  static RxFilter For(uint64_t features, const MacAddress& mac);

  bool Is(RxMode mode) const;
  void Set(RxMode mode, bool on);

  // Requires id < kVlans.
  bool HasVlan(uint16_t id) const;
  void SetVlan(uint16_t id, bool on);

  // Whether the driver gets the frame. It has an Ethernet header at least;
  // nothing behind kLookBytes is looked at.
  static constexpr size_t kLookBytes = 16;
  bool Accepts(std::span<const uint8_t> frame) const;

  // Whether it gets all there are.
  bool AcceptsAll() const;

  // Whether this can be a filter, wherever it was kept.
  bool Valid() const;

  bool operator==(const RxFilter&) const = default;

 private:
  bool AcceptsAddress(const MacAddress& to) const;
};
static_assert(std::has_unique_object_representations_v<RxFilter>);

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_RX_FILTER_H_
