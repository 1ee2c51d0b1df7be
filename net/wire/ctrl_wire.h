// SPDX-License-Identifier: Apache-2.0
//
// Layout of the control virtqueue's commands in memory (virtio 1.3, 5.1.6.5).
// All fields are little-endian.
#ifndef VDUSE_NET_NET_WIRE_CTRL_WIRE_H_
#define VDUSE_NET_NET_WIRE_CTRL_WIRE_H_

#include <cstdint>

#include "net/wire/mac_address.h"

namespace net::ctrl {

// The status byte.
inline constexpr uint8_t kOk = 0;
inline constexpr uint8_t kErr = 1;

// struct virtio_net_ctrl without its payload
struct Header {
  uint8_t command_class;
  uint8_t command;
};
static_assert(sizeof(Header) == 2);

// --- Filters, 5.1.6.5.1 and 5.1.6.5.2 ----------------------------------------

// The commands of class RX are the values of RxMode (rx_filter.h). Each carries
// one byte, 0 or 1.
inline constexpr uint8_t kClassRx = 0;
using Switch = uint8_t;

inline constexpr uint8_t kClassMac = 1;
inline constexpr uint8_t kMacTableSet = 0;
inline constexpr uint8_t kMacAddrSet = 1;
// struct virtio_net_ctrl_mac begins with its number of entries; the entries are
// MAC addresses. MAC_TABLE_SET carries two such tables.
using MacTableEntries = uint32_t;

inline constexpr uint8_t kClassVlan = 2;
inline constexpr uint8_t kVlanAdd = 0;
inline constexpr uint8_t kVlanDel = 1;
using VlanId = uint16_t;

// --- Announcement, pairs, offloads: 5.1.6.5.4, .5, .8 ------------------------

inline constexpr uint8_t kClassAnnounce = 3;
inline constexpr uint8_t kAnnounceAck = 0;

inline constexpr uint8_t kClassMq = 4;
inline constexpr uint8_t kPairsSet = 0;
using QueuePairs = uint16_t;

inline constexpr uint8_t kClassOffloads = 5;
inline constexpr uint8_t kOffloadsSet = 0;
using GuestOffloads = uint64_t;

// --- Notification coalescing, 5.1.6.5.9 --------------------------------------

inline constexpr uint8_t kClassNotfCoal = 6;
inline constexpr uint8_t kCoalTxSet = 0;
inline constexpr uint8_t kCoalRxSet = 1;
inline constexpr uint8_t kCoalVqSet = 2;
inline constexpr uint8_t kCoalVqGet = 3;

// struct virtio_net_ctrl_coal
struct Coal {
  uint32_t max_packets;
  uint32_t max_usecs;
};
static_assert(sizeof(Coal) == 8);

// struct virtio_net_ctrl_coal_vq. VQ_GET carries only its first two members,
// CoalVqIndex.
struct CoalVqIndex {
  uint16_t vq_index;
  uint16_t reserved;  // to be ignored
};
static_assert(sizeof(CoalVqIndex) == 4);
struct CoalVq {
  CoalVqIndex queue;
  Coal coal;
};
static_assert(sizeof(CoalVq) == 12);

// --- Statistics, 5.1.6.5.10 --------------------------------------------------

inline constexpr uint8_t kClassStats = 8;
inline constexpr uint8_t kStatsQuery = 0;
inline constexpr uint8_t kStatsGet = 1;

// Types of statistics: bits in requests, numbers in replies. The specification
// has further types, which this device does not offer.
inline constexpr uint8_t kStatsRxBasic = 0;
inline constexpr uint8_t kStatsTxBasic = 16;
inline constexpr uint8_t kStatsCvq = 32;

// An entry of struct virtio_net_ctrl_queue_stats
struct StatsRequest {
  uint16_t vq_index;
  uint16_t reserved[3];
  uint64_t types;
};
static_assert(sizeof(StatsRequest) == 16);

// struct virtio_net_stats_reply_hdr
struct StatsReply {
  uint8_t type;
  uint8_t reserved = 0;
  uint16_t vq_index;
  uint16_t reserved1 = 0;
  uint16_t size;  // includes this header
};
static_assert(sizeof(StatsReply) == 8);

// struct virtio_net_stats_cvq without its header
struct StatsCvq {
  uint64_t commands;
  uint64_t ok;
};
static_assert(sizeof(StatsCvq) == 16);

}  // namespace net::ctrl

#endif  // VDUSE_NET_NET_WIRE_CTRL_WIRE_H_
