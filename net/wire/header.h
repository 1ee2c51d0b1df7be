// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_WIRE_HEADER_H_
#define VDUSE_NET_NET_WIRE_HEADER_H_

#include <cstddef>
#include <cstdint>

namespace net {

// struct virtio_net_hdr (virtio 1.3, 5.1.6), little-endian. It precedes every
// packet. The TAP uses the same twelve bytes.
struct VirtioNetHeader {
  uint8_t flags = 0;
  uint8_t gso_type = 0;
  uint16_t hdr_len = 0;
  uint16_t gso_size = 0;
  uint16_t csum_start = 0;
  uint16_t csum_offset = 0;
  uint16_t num_buffers = 0;
};
static_assert(sizeof(VirtioNetHeader) == 12);
static_assert(offsetof(VirtioNetHeader, num_buffers) == 10);

// flags
inline constexpr uint8_t kHeaderNeedsCsum = 1;
inline constexpr uint8_t kHeaderDataValid = 2;
// gso_type
inline constexpr uint8_t kHeaderGsoNone = 0;
inline constexpr uint8_t kHeaderGsoTcpV4 = 1;
inline constexpr uint8_t kHeaderGsoTcpV6 = 4;
inline constexpr uint8_t kHeaderGsoUdpL4 = 5;
inline constexpr uint8_t kHeaderGsoEcn = 0x80;

inline constexpr size_t kHeaderBytes = sizeof(VirtioNetHeader);
inline constexpr size_t kEthernetHeaderBytes = 14;
inline constexpr size_t kVlanTagBytes = 4;
// The most a frame may add to the MTU: an Ethernet header and two VLAN tags, a
// provider's and a customer's.
inline constexpr size_t kFrameOverhead =
    kEthernetHeaderBytes + 2 * kVlanTagBytes;
// The largest frame that a TAP can deliver.
inline constexpr size_t kMaxFrameBytes = 65535 + kFrameOverhead;

}  // namespace net

#endif  // VDUSE_NET_NET_WIRE_HEADER_H_
