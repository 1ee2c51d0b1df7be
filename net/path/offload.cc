// SPDX-License-Identifier: Apache-2.0
#include "net/path/offload.h"

#include <linux/if_tun.h>

#include <algorithm>

#include "net/wire/features.h"

namespace net {
namespace {

// Since Linux 6.2; some libc headers lack them.
constexpr unsigned kTunUso4 = 0x20;
constexpr unsigned kTunUso6 = 0x40;

constexpr uint64_t kChecksumBytes = 2;
// A header cannot count more segments.
constexpr uint64_t kMaxSegments = 65535;

// A kind of segmentation: the features it needs and the layout of its packets.
struct Segmentation {
  uint8_t gso_type;
  uint64_t transmit;  // features needed, all of them
  uint64_t receive;
  uint16_t csum_offset;   // within the layer 4 header
  uint16_t header_bytes;  // minimum layer 4 header
};
constexpr Segmentation kSegmentations[] = {
    {kHeaderGsoTcpV4, Bit(kFeatureHostTso4), Bit(kFeatureGuestTso4), 16, 20},
    {kHeaderGsoTcpV6, Bit(kFeatureHostTso6), Bit(kFeatureGuestTso6), 16, 20},
    // The header does not distinguish IPv4 from IPv6.
    {kHeaderGsoUdpL4, Bit(kFeatureHostUso),
     Bit(kFeatureGuestUso4) | Bit(kFeatureGuestUso6), 6, 8},
};

// The kind of segmentation that `gso_type` names; null if there is none.
const Segmentation* FindSegmentation(uint8_t gso_type) {
  const auto type = static_cast<uint8_t>(gso_type & ~kHeaderGsoEcn);
  const auto* kind =
      std::find_if(std::begin(kSegmentations), std::end(kSegmentations),
                   [&](const Segmentation& s) { return s.gso_type == type; });
  return kind == std::end(kSegmentations) ? nullptr : kind;
}

bool All(uint64_t features, uint64_t bits) { return (features & bits) == bits; }

// The two directions differ only in their feature bits.
struct Rules {
  unsigned csum;
  unsigned ecn;
  uint64_t Segmentation::*segmentation;
};
constexpr Rules kTransmit = {kFeatureCsum, kFeatureHostEcn,
                             &Segmentation::transmit};
constexpr Rules kReceive = {kFeatureGuestCsum, kFeatureGuestEcn,
                            &Segmentation::receive};

std::optional<VirtioNetHeader> Judge(const VirtioNetHeader& theirs,
                                     uint64_t frame_bytes, uint64_t features,
                                     const Rules& rules) {
  const bool needs_csum = (theirs.flags & kHeaderNeedsCsum) != 0;
  if (!needs_csum && theirs.gso_type == kHeaderGsoNone) {
    return VirtioNetHeader{};  // the common case
  }
  VirtioNetHeader ours;
  if (needs_csum) {
    if (!Has(features, rules.csum)) return std::nullopt;
    const uint64_t end =
        uint64_t{theirs.csum_start} + theirs.csum_offset + kChecksumBytes;
    if (theirs.csum_start < kEthernetHeaderBytes || end > frame_bytes ||
        end > UINT16_MAX) {
      return std::nullopt;
    }
    ours.flags = kHeaderNeedsCsum;
    ours.csum_start = theirs.csum_start;
    ours.csum_offset = theirs.csum_offset;
  }
  if (theirs.gso_type == kHeaderGsoNone) return ours;

  const bool ecn = (theirs.gso_type & kHeaderGsoEcn) != 0;
  const Segmentation* const kind = FindSegmentation(theirs.gso_type);
  if (kind == nullptr || !All(features, kind->*rules.segmentation)) {
    return std::nullopt;
  }
  if (ecn && (kind->gso_type == kHeaderGsoUdpL4 || !Has(features, rules.ecn))) {
    return std::nullopt;
  }
  // Segmentation needs the packet's checksum offload, because each segment gets
  // its own checksum in the same place.
  const uint64_t headers = uint64_t{ours.csum_start} + kind->header_bytes;
  if (ours.flags != kHeaderNeedsCsum || ours.csum_offset != kind->csum_offset ||
      headers > frame_bytes || theirs.gso_size == 0 ||
      (frame_bytes - headers) / theirs.gso_size >= kMaxSegments) {
    return std::nullopt;
  }
  ours.gso_type = theirs.gso_type;
  ours.gso_size = theirs.gso_size;
  ours.hdr_len = static_cast<uint16_t>(std::clamp<uint64_t>(
      theirs.hdr_len, headers, std::min<uint64_t>(frame_bytes, UINT16_MAX)));
  return ours;
}

}  // namespace

std::optional<VirtioNetHeader> TransmitHeader(const VirtioNetHeader& theirs,
                                              uint64_t frame_bytes,
                                              uint64_t features) {
  return Judge(theirs, frame_bytes, features, kTransmit);
}

std::optional<VirtioNetHeader> ReceiveHeader(const VirtioNetHeader& theirs,
                                             uint64_t frame_bytes,
                                             uint64_t offloads) {
  std::optional<VirtioNetHeader> ours =
      Judge(theirs, frame_bytes, offloads, kReceive);
  if (ours && Has(offloads, kFeatureGuestCsum)) {
    ours->flags |= theirs.flags & kHeaderDataValid;
  }
  return ours;
}

uint64_t FrameLimit(uint64_t features, uint16_t mtu) {
  return Has(features, kFeatureMtu) ? uint64_t{mtu} + kFrameOverhead
                                    : kMaxFrameBytes;
}

uint64_t BytesOnWire(const VirtioNetHeader& header, uint64_t frame_bytes) {
  if (header.gso_type == kHeaderGsoNone) return frame_bytes;
  const Segmentation* const kind = FindSegmentation(header.gso_type);
  if (kind == nullptr) return frame_bytes;
  return std::min<uint64_t>(
      frame_bytes,
      uint64_t{header.csum_start} + kind->header_bytes + header.gso_size);
}

unsigned TunOffloads(uint64_t offloads) {
  if (!Has(offloads, kFeatureGuestCsum)) return 0;
  unsigned flags = TUN_F_CSUM;
  if (Has(offloads, kFeatureGuestTso4)) flags |= TUN_F_TSO4;
  if (Has(offloads, kFeatureGuestTso6)) flags |= TUN_F_TSO6;
  if ((flags & (TUN_F_TSO4 | TUN_F_TSO6)) != 0 &&
      Has(offloads, kFeatureGuestEcn)) {
    flags |= TUN_F_TSO_ECN;
  }
  // The kernel accepts both or none.
  if (Has(offloads, kFeatureGuestUso4) && Has(offloads, kFeatureGuestUso6)) {
    flags |= kTunUso4 | kTunUso6;
  }
  return flags;
}

}  // namespace net
