// SPDX-License-Identifier: Apache-2.0
#include "net/path/rx_filter.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "net/wire/features.h"
#include "net/wire/header.h"

namespace net {
namespace {

constexpr MacAddress kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
// 802.1Q: the type follows the addresses; priority and VLAN follow the type.
constexpr size_t kTypeOffset = 12;
constexpr size_t kTagOffset = 14;
constexpr uint16_t kTypeVlan = 0x8100;

unsigned BigEndian16(std::span<const uint8_t> bytes) {
  return unsigned{bytes[0]} << 8 | bytes[1];
}

uint8_t ModeBit(RxMode mode) {
  return static_cast<uint8_t>(1U << static_cast<unsigned>(mode));
}

// In the byte of the VLAN `id`.
uint8_t VlanBit(uint16_t id) { return static_cast<uint8_t>(1U << (id % 8)); }

void SetBits(uint8_t& to, uint8_t bits, bool on) {
  to = static_cast<uint8_t>(on ? to | bits : to & ~bits);
}

}  // namespace

void MacTable::Add(const MacAddress& mac) {
  if (count == kMaxEntries) {
    overflow = 1;
    return;
  }
  macs[count++] = mac;
}

bool MacTable::Accepts(const MacAddress& mac) const {
  const auto* end = macs.begin() + count;
  return overflow != 0 || std::find(macs.begin(), end, mac) != end;
}

RxFilter RxFilter::For(uint64_t features, const MacAddress& mac) {
  RxFilter filter;
  if (Has(features, kFeatureMac)) filter.mac = mac;
  const bool addresses = Has(features, kFeatureCtrlRx);
  filter.Set(RxMode::kAllMulti, !addresses);
  filter.Set(RxMode::kAllUni, !addresses);
  if (!Has(features, kFeatureCtrlVlan)) filter.vlans.fill(0xff);
  return filter;
}

bool RxFilter::Is(RxMode mode) const { return (modes & ModeBit(mode)) != 0; }

void RxFilter::Set(RxMode mode, bool on) { SetBits(modes, ModeBit(mode), on); }

bool RxFilter::HasVlan(uint16_t id) const {
  return (vlans[id / 8] & VlanBit(id)) != 0;
}

void RxFilter::AddVlan(uint16_t id) {
  SetBits(vlans[id / 8], VlanBit(id), true);
}

void RxFilter::RemoveVlan(uint16_t id) {
  SetBits(vlans[id / 8], VlanBit(id), false);
}

bool RxFilter::Accepts(std::span<const uint8_t> frame) const {
  assert(frame.size() >= kEthernetHeaderBytes);
  // Promiscuous mode overrides all other settings.
  if (Is(RxMode::kPromisc)) return true;
  if (frame.size() >= kTagOffset + 2 &&
      BigEndian16(frame.subspan(kTypeOffset)) == kTypeVlan) {
    const auto id =
        static_cast<uint16_t>(BigEndian16(frame.subspan(kTagOffset)) % kVlans);
    // A tag with VLAN 0 carries a priority only.
    if (id != 0 && !HasVlan(id)) return false;
  }
  MacAddress to;
  std::memcpy(to.data(), frame.data(), to.size());
  return AcceptsAddress(to);
}

bool RxFilter::AcceptsAddress(const MacAddress& to) const {
  if (to == kBroadcast) return !Is(RxMode::kNoBcast);
  if ((to[0] & 1) != 0) {
    return !Is(RxMode::kNoMulti) &&
           (Is(RxMode::kAllMulti) || multicast.Accepts(to));
  }
  return !Is(RxMode::kNoUni) && (Is(RxMode::kAllUni) || mac == MacAddress{} ||
                                 to == mac || unicast.Accepts(to));
}

bool RxFilter::AcceptsAll() const {
  if (Is(RxMode::kPromisc)) return true;
  const uint8_t all = ModeBit(RxMode::kAllMulti) | ModeBit(RxMode::kAllUni);
  const uint8_t unknown = mac == MacAddress{} ? ModeBit(RxMode::kAllUni) : 0;
  return (modes | unknown) == all &&
         std::all_of(vlans.begin(), vlans.end(),
                     [](uint8_t bits) { return bits == 0xff; });
}

bool RxFilter::Valid() const {
  return modes < 1U << kRxModes && unicast.count <= MacTable::kMaxEntries &&
         multicast.count <= MacTable::kMaxEntries;
}

}  // namespace net
