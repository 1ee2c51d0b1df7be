// SPDX-License-Identifier: Apache-2.0
//
// The commands of the control queue: which there are, who may send them, and
// what they say (virtio 1.3, 5.1.6.5.1 to 5.1.6.5.10).
#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "net/device/ctrl_queue.h"
#include "net/wire/features.h"

namespace net {
namespace {

using coalesce::Direction;
using coalesce::Params;
using enum RxMode;

constexpr uint8_t kClassRx = 0;
constexpr uint8_t Code(RxMode mode) { return static_cast<uint8_t>(mode); }

constexpr uint8_t kClassMac = 1;
constexpr uint8_t kMacTableSet = 0;
constexpr uint8_t kMacAddrSet = 1;

constexpr uint8_t kClassVlan = 2;
constexpr uint8_t kVlanAdd = 0;
constexpr uint8_t kVlanDel = 1;

constexpr uint8_t kClassAnnounce = 3;
constexpr uint8_t kAnnounceAck = 0;

constexpr uint8_t kClassMq = 4;
constexpr uint8_t kPairsSet = 0;

constexpr uint8_t kClassOffload = 5;
constexpr uint8_t kOffloadSet = 0;

constexpr uint8_t kClassCoal = 6;
constexpr uint8_t kTxSet = 0;
constexpr uint8_t kRxSet = 1;
constexpr uint8_t kVqSet = 2;
constexpr uint8_t kVqGet = 3;

constexpr uint8_t kClassStats = 8;
constexpr uint8_t kStatsQuery = 0;
constexpr uint8_t kStatsGet = 1;

// struct virtio_net_ctrl_coal
struct CtrlCoal {
  uint32_t max_packets;
  uint32_t max_usecs;
};
static_assert(sizeof(CtrlCoal) == 8);

// struct virtio_net_ctrl_coal_vq
struct CtrlCoalVq {
  uint16_t vq_index;
  uint16_t reserved;  // to be ignored
  CtrlCoal coal;
};
static_assert(sizeof(CtrlCoalVq) == 12);

// Types of statistics, as bits in requests and as numbers in replies. There
// are more, which this device does not have.
constexpr uint8_t kStatsRxBasic = 0;
constexpr uint8_t kStatsTxBasic = 16;
constexpr uint8_t kStatsCvq = 32;

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
  uint16_t size;  // with this header
};
static_assert(sizeof(StatsReply) == 8);

// struct virtio_net_stats_cvq without its header
struct StatsCvq {
  uint64_t commands;
  uint64_t ok;
};
static_assert(sizeof(StatsCvq) == 16);

Params ToParams(CtrlCoal coal) {
  return {.max_packets = coal.max_packets, .max_usecs = coal.max_usecs};
}

template <typename T>
void Append(std::vector<uint8_t>& to, const T& value) {
  const size_t at = to.size();
  to.resize(at + sizeof(value));
  std::memcpy(to.data() + at, &value, sizeof(value));
}

// struct virtio_net_ctrl_mac. Nothing if it says that it is longer than it is.
std::optional<MacTable> TakeMacTable(CtrlPayload& payload) {
  if (payload.left() < sizeof(uint32_t)) return std::nullopt;
  const uint64_t entries = payload.Take<uint32_t>();
  if (entries * sizeof(MacAddress) > payload.left()) return std::nullopt;
  // One more than fit tells the table that there are too many.
  const uint64_t taken = std::min<uint64_t>(entries, MacTable::kMaxEntries + 1);
  MacTable table;
  for (uint64_t i = 0; i < taken; ++i) table.Add(payload.Take<MacAddress>());
  payload.Skip((entries - taken) * sizeof(MacAddress));
  return table;
}

}  // namespace

// Two tables, each behind its length: as long as a chain can be.
constexpr CtrlQueue::Length CtrlQueue::kMacTables = {8, 6, UINT32_MAX};
// A driver asks for each of its queues once.
constexpr CtrlQueue::Length CtrlQueue::kStatsRequests = {
    0, sizeof(StatsRequest), 64};

using Q = CtrlQueue;
constexpr CtrlQueue::Command CtrlQueue::kCommands[] = {
    {kClassRx, Code(kPromisc), kFeatureCtrlRx, {1}, &Q::SetMode<kPromisc>},
    {kClassRx, Code(kAllMulti), kFeatureCtrlRx, {1}, &Q::SetMode<kAllMulti>},
    {kClassRx, Code(kAllUni), kFeatureCtrlRxExtra, {1}, &Q::SetMode<kAllUni>},
    {kClassRx, Code(kNoMulti), kFeatureCtrlRxExtra, {1}, &Q::SetMode<kNoMulti>},
    {kClassRx, Code(kNoUni), kFeatureCtrlRxExtra, {1}, &Q::SetMode<kNoUni>},
    {kClassRx, Code(kNoBcast), kFeatureCtrlRxExtra, {1}, &Q::SetMode<kNoBcast>},
    {kClassMac, kMacTableSet, kFeatureCtrlRx, kMacTables, &Q::MacTableSet},
    {kClassMac, kMacAddrSet, kFeatureCtrlMacAddr, {6}, &Q::MacAddrSet},
    {kClassVlan, kVlanAdd, kFeatureCtrlVlan, {2}, &Q::SetVlan<true>},
    {kClassVlan, kVlanDel, kFeatureCtrlVlan, {2}, &Q::SetVlan<false>},
    {kClassAnnounce, kAnnounceAck, kFeatureGuestAnnounce, {0}, &Q::AnnounceAck},
    {kClassMq, kPairsSet, kFeatureMq, {2}, &Q::PairsSet},
    {kClassOffload, kOffloadSet, kFeatureCtrlGuestOffloads, {8}, &Q::Offloads},
    {kClassCoal, kTxSet, kFeatureNotfCoal, {8}, &Q::SetAll<Direction::kTx>},
    {kClassCoal, kRxSet, kFeatureNotfCoal, {8}, &Q::SetAll<Direction::kRx>},
    {kClassCoal, kVqSet, kFeatureVqNotfCoal, {12}, &Q::VqSet},
    {kClassCoal, kVqGet, kFeatureVqNotfCoal, {4}, &Q::VqGet, 8},
    {kClassStats, kStatsQuery, kFeatureDeviceStats, {0}, &Q::StatsQuery},
    {kClassStats, kStatsGet, kFeatureDeviceStats, kStatsRequests, &Q::StatsGet},
};

const CtrlQueue::Command* CtrlQueue::Find(uint8_t command_class,
                                          uint8_t command) const {
  for (const Command& row : kCommands) {
    if (row.command_class == command_class && row.command == command) {
      return Has(features_, row.feature) ? &row : nullptr;
    }
  }
  return nullptr;
}

template <RxMode mode>
CtrlQueue::Reply CtrlQueue::SetMode(CtrlPayload& payload) {
  const auto on = payload.Take<uint8_t>();
  if (on > 1) return {};
  target_.SetRxMode(mode, on == 1);
  return {.ok = true};
}

CtrlQueue::Reply CtrlQueue::MacTableSet(CtrlPayload& payload) {
  const std::optional<MacTable> unicast = TakeMacTable(payload);
  if (!unicast) return {};
  const std::optional<MacTable> multicast = TakeMacTable(payload);
  if (!multicast || payload.left() > 0) return {};
  target_.SetMacTables(*unicast, *multicast);
  return {.ok = true};
}

CtrlQueue::Reply CtrlQueue::MacAddrSet(CtrlPayload& payload) {
  return {.ok = target_.SetMac(payload.Take<MacAddress>())};
}

template <bool on>
CtrlQueue::Reply CtrlQueue::SetVlan(CtrlPayload& payload) {
  return {.ok = target_.SetVlan(payload.Take<uint16_t>(), on)};
}

CtrlQueue::Reply CtrlQueue::AnnounceAck(CtrlPayload& /*payload*/) {
  return {.ok = target_.AcknowledgeAnnounce()};
}

CtrlQueue::Reply CtrlQueue::PairsSet(CtrlPayload& payload) {
  return {.ok = target_.SetQueuePairs(payload.Take<uint16_t>())};
}

CtrlQueue::Reply CtrlQueue::Offloads(CtrlPayload& payload) {
  return {.ok = target_.SetGuestOffloads(payload.Take<uint64_t>())};
}

template <Direction direction>
CtrlQueue::Reply CtrlQueue::SetAll(CtrlPayload& payload) {
  target_.SetCoalescing(direction, ToParams(payload.Take<CtrlCoal>()));
  return {.ok = true};
}

CtrlQueue::Reply CtrlQueue::VqSet(CtrlPayload& payload) {
  const auto command = payload.Take<CtrlCoalVq>();
  return {.ok = target_.SetQueueCoalescing(command.vq_index,
                                           ToParams(command.coal))};
}

CtrlQueue::Reply CtrlQueue::VqGet(CtrlPayload& payload) {
  const auto command = payload.Take<CtrlCoalVq>();
  const std::optional<Params> params =
      target_.QueueCoalescing(command.vq_index);
  if (!params) return {};
  Reply reply{.ok = true};
  Append(reply.bytes, CtrlCoal{.max_packets = params->max_packets,
                               .max_usecs = params->max_usecs});
  return reply;
}

CtrlQueue::Reply CtrlQueue::StatsQuery(CtrlPayload& /*payload*/) {
  Reply reply{.ok = true};
  Append(reply.bytes, Bit(kStatsRxBasic) | Bit(kStatsTxBasic) | Bit(kStatsCvq));
  return reply;
}

// One entry in the reply for each bit in the request. One request that cannot
// be answered, and none is.
CtrlQueue::Reply CtrlQueue::StatsGet(CtrlPayload& payload) {
  Reply reply{.ok = true};
  while (payload.left() > 0) {
    const auto request = payload.Take<StatsRequest>();
    const auto add = [&](uint8_t type, const auto& stats) {
      if ((request.types & ~Bit(type)) != 0) return false;
      if (request.types == 0) return true;
      Append(reply.bytes,
             StatsReply{.type = type,
                        .vq_index = request.vq_index,
                        .size = sizeof(StatsReply) + sizeof(stats)});
      Append(reply.bytes, stats);
      return true;
    };
    if (request.vq_index == queue_.index()) {
      // This command counts, too.
      const uint64_t ok = counters_.commands + 1;
      const StatsCvq stats{
          .commands = ok + counters_.rejected + counters_.unanswerable,
          .ok = ok};
      if (!add(kStatsCvq, stats)) return {};
      continue;
    }
    const std::optional<QueueStats> stats = target_.Stats(request.vq_index);
    const bool rx = request.vq_index % 2 == 0;
    if (!stats || !add(rx ? kStatsRxBasic : kStatsTxBasic, *stats)) return {};
  }
  return reply;
}

}  // namespace net
