// SPDX-License-Identifier: Apache-2.0
//
// The commands of the control queue: which exist, which feature each needs, and
// what each does (virtio 1.3, 5.1.6.5.1 to 5.1.6.5.10).
#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "net/device/ctrl_queue.h"
#include "net/wire/ctrl_wire.h"
#include "net/wire/features.h"

namespace net {
namespace {

using coalesce::Direction;
using coalesce::Params;
using enum RxMode;

constexpr uint8_t Code(RxMode mode) { return static_cast<uint8_t>(mode); }

Params ToParams(ctrl::Coal coal) {
  return {.max_packets = coal.max_packets, .max_usecs = coal.max_usecs};
}

template <typename T>
void Append(std::vector<uint8_t>& to, const T& value) {
  const size_t at = to.size();
  to.resize(at + sizeof(value));
  std::memcpy(to.data() + at, &value, sizeof(value));
}

// Reads struct virtio_net_ctrl_mac. Nothing if it claims more entries than the
// payload holds.
std::optional<MacTable> TakeMacTable(vduse::ChainReader& payload) {
  if (payload.left() < sizeof(ctrl::MacTableEntries)) return std::nullopt;
  const uint64_t entries = payload.Take<ctrl::MacTableEntries>();
  if (entries * sizeof(MacAddress) > payload.left()) return std::nullopt;
  // One entry too many makes the table overflow, which is how it knows.
  const uint64_t taken = std::min<uint64_t>(entries, MacTable::kMaxEntries + 1);
  MacTable table;
  for (uint64_t i = 0; i < taken; ++i) table.Add(payload.Take<MacAddress>());
  payload.Skip((entries - taken) * sizeof(MacAddress));
  return table;
}

}  // namespace

// Two tables, each preceded by its number of entries. Only the chain limits the
// number of entries.
constexpr CtrlQueue::Length CtrlQueue::kMacTables = {
    .least = 2 * sizeof(ctrl::MacTableEntries),
    .entry_bytes = sizeof(MacAddress),
    .most_entries = UINT32_MAX};
// Enough for a driver that asks once for each of its queues.
constexpr CtrlQueue::Length CtrlQueue::kStatsRequests = {
    .least = 0, .entry_bytes = sizeof(ctrl::StatsRequest), .most_entries = 64};

using Q = CtrlQueue;
constexpr CtrlQueue::Command CtrlQueue::kCommands[] = {
    {.command_class = ctrl::kClassRx,
     .command = Code(kPromisc),
     .feature = kFeatureCtrlRx,
     .payload = {sizeof(ctrl::Switch)},
     .run = &Q::SetMode<kPromisc>},
    {.command_class = ctrl::kClassRx,
     .command = Code(kAllMulti),
     .feature = kFeatureCtrlRx,
     .payload = {sizeof(ctrl::Switch)},
     .run = &Q::SetMode<kAllMulti>},
    {.command_class = ctrl::kClassRx,
     .command = Code(kAllUni),
     .feature = kFeatureCtrlRxExtra,
     .payload = {sizeof(ctrl::Switch)},
     .run = &Q::SetMode<kAllUni>},
    {.command_class = ctrl::kClassRx,
     .command = Code(kNoMulti),
     .feature = kFeatureCtrlRxExtra,
     .payload = {sizeof(ctrl::Switch)},
     .run = &Q::SetMode<kNoMulti>},
    {.command_class = ctrl::kClassRx,
     .command = Code(kNoUni),
     .feature = kFeatureCtrlRxExtra,
     .payload = {sizeof(ctrl::Switch)},
     .run = &Q::SetMode<kNoUni>},
    {.command_class = ctrl::kClassRx,
     .command = Code(kNoBcast),
     .feature = kFeatureCtrlRxExtra,
     .payload = {sizeof(ctrl::Switch)},
     .run = &Q::SetMode<kNoBcast>},
    {.command_class = ctrl::kClassMac,
     .command = ctrl::kMacTableSet,
     .feature = kFeatureCtrlRx,
     .payload = kMacTables,
     .run = &Q::MacTableSet},
    {.command_class = ctrl::kClassMac,
     .command = ctrl::kMacAddrSet,
     .feature = kFeatureCtrlMacAddr,
     .payload = {sizeof(MacAddress)},
     .run = &Q::MacAddrSet},
    {.command_class = ctrl::kClassVlan,
     .command = ctrl::kVlanAdd,
     .feature = kFeatureCtrlVlan,
     .payload = {sizeof(ctrl::VlanId)},
     .run = &Q::VlanAdd},
    {.command_class = ctrl::kClassVlan,
     .command = ctrl::kVlanDel,
     .feature = kFeatureCtrlVlan,
     .payload = {sizeof(ctrl::VlanId)},
     .run = &Q::VlanDel},
    {.command_class = ctrl::kClassAnnounce,
     .command = ctrl::kAnnounceAck,
     .feature = kFeatureGuestAnnounce,
     .payload = {0},
     .run = &Q::AnnounceAck},
    {.command_class = ctrl::kClassMq,
     .command = ctrl::kPairsSet,
     .feature = kFeatureMq,
     .payload = {sizeof(ctrl::QueuePairs)},
     .run = &Q::PairsSet},
    {.command_class = ctrl::kClassOffloads,
     .command = ctrl::kOffloadsSet,
     .feature = kFeatureCtrlGuestOffloads,
     .payload = {sizeof(ctrl::GuestOffloads)},
     .run = &Q::OffloadsSet},
    {.command_class = ctrl::kClassNotfCoal,
     .command = ctrl::kCoalTxSet,
     .feature = kFeatureNotfCoal,
     .payload = {sizeof(ctrl::Coal)},
     .run = &Q::SetAll<Direction::kTx>},
    {.command_class = ctrl::kClassNotfCoal,
     .command = ctrl::kCoalRxSet,
     .feature = kFeatureNotfCoal,
     .payload = {sizeof(ctrl::Coal)},
     .run = &Q::SetAll<Direction::kRx>},
    {.command_class = ctrl::kClassNotfCoal,
     .command = ctrl::kCoalVqSet,
     .feature = kFeatureVqNotfCoal,
     .payload = {sizeof(ctrl::CoalVq)},
     .run = &Q::VqSet},
    {.command_class = ctrl::kClassNotfCoal,
     .command = ctrl::kCoalVqGet,
     .feature = kFeatureVqNotfCoal,
     .payload = {sizeof(ctrl::CoalVqIndex)},
     .run = &Q::VqGet,
     .reply_bytes = sizeof(ctrl::Coal)},
    {.command_class = ctrl::kClassStats,
     .command = ctrl::kStatsQuery,
     .feature = kFeatureDeviceStats,
     .payload = {0},
     .run = &Q::StatsQuery},
    {.command_class = ctrl::kClassStats,
     .command = ctrl::kStatsGet,
     .feature = kFeatureDeviceStats,
     .payload = kStatsRequests,
     .run = &Q::StatsGet},
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
CtrlQueue::Reply CtrlQueue::SetMode(vduse::ChainReader& payload) {
  const auto on = payload.Take<ctrl::Switch>();
  if (on > 1) return {};
  target_.SetRxMode(mode, on == 1 ? RxModeSwitch::kOn : RxModeSwitch::kOff);
  return {.ok = true};
}

CtrlQueue::Reply CtrlQueue::MacTableSet(vduse::ChainReader& payload) {
  const std::optional<MacTable> unicast = TakeMacTable(payload);
  if (!unicast) return {};
  const std::optional<MacTable> multicast = TakeMacTable(payload);
  if (!multicast || payload.left() > 0) return {};
  target_.SetMacTables(*unicast, *multicast);
  return {.ok = true};
}

CtrlQueue::Reply CtrlQueue::MacAddrSet(vduse::ChainReader& payload) {
  return {.ok = target_.SetMac(payload.Take<MacAddress>())};
}

CtrlQueue::Reply CtrlQueue::VlanAdd(vduse::ChainReader& payload) {
  return {.ok = target_.AddVlan(payload.Take<ctrl::VlanId>())};
}

CtrlQueue::Reply CtrlQueue::VlanDel(vduse::ChainReader& payload) {
  return {.ok = target_.DeleteVlan(payload.Take<ctrl::VlanId>())};
}

CtrlQueue::Reply CtrlQueue::AnnounceAck(vduse::ChainReader& /*payload*/) {
  return {.ok = target_.AcknowledgeAnnounce()};
}

CtrlQueue::Reply CtrlQueue::PairsSet(vduse::ChainReader& payload) {
  return {.ok = target_.SetQueuePairs(payload.Take<ctrl::QueuePairs>())};
}

CtrlQueue::Reply CtrlQueue::OffloadsSet(vduse::ChainReader& payload) {
  return {.ok = target_.SetGuestOffloads(payload.Take<ctrl::GuestOffloads>())};
}

template <Direction direction>
CtrlQueue::Reply CtrlQueue::SetAll(vduse::ChainReader& payload) {
  target_.SetCoalescing(direction, ToParams(payload.Take<ctrl::Coal>()));
  return {.ok = true};
}

CtrlQueue::Reply CtrlQueue::VqSet(vduse::ChainReader& payload) {
  const auto command = payload.Take<ctrl::CoalVq>();
  return {.ok = target_.SetQueueCoalescing(command.queue.vq_index,
                                           ToParams(command.coal))};
}

CtrlQueue::Reply CtrlQueue::VqGet(vduse::ChainReader& payload) {
  const auto queue = payload.Take<ctrl::CoalVqIndex>();
  const std::optional<Params> params = target_.QueueCoalescing(queue.vq_index);
  if (!params) return {};
  Reply reply{.ok = true};
  Append(reply.bytes, ctrl::Coal{.max_packets = params->max_packets,
                                 .max_usecs = params->max_usecs});
  return reply;
}

CtrlQueue::Reply CtrlQueue::StatsQuery(vduse::ChainReader& /*payload*/) {
  Reply reply{.ok = true};
  Append(reply.bytes, Bit(ctrl::kStatsRxBasic) | Bit(ctrl::kStatsTxBasic) |
                          Bit(ctrl::kStatsCvq));
  return reply;
}

// The reply has one entry for each bit in a request. If one request cannot be
// answered, none is.
CtrlQueue::Reply CtrlQueue::StatsGet(vduse::ChainReader& payload) {
  Reply reply{.ok = true};
  while (payload.left() > 0) {
    const auto request = payload.Take<ctrl::StatsRequest>();
    const auto add = [&](uint8_t type, const auto& stats) {
      if ((request.types & ~Bit(type)) != 0) return false;
      if (request.types == 0) return true;
      Append(reply.bytes, ctrl::StatsReply{.type = type,
                                           .vq_index = request.vq_index,
                                           .size = sizeof(ctrl::StatsReply) +
                                                   sizeof(stats)});
      Append(reply.bytes, stats);
      return true;
    };
    if (request.vq_index == queue_.index()) {
      // Count this command, too.
      const uint64_t ok = counters_.commands + 1;
      const ctrl::StatsCvq stats{
          .commands = ok + counters_.rejected + counters_.unanswerable,
          .ok = ok};
      if (!add(ctrl::kStatsCvq, stats)) return {};
      continue;
    }
    const std::optional<QueueStats> stats = target_.Stats(request.vq_index);
    const bool rx = request.vq_index % 2 == 0;
    if (!stats || !add(rx ? ctrl::kStatsRxBasic : ctrl::kStatsTxBasic, *stats))
      return {};
  }
  return reply;
}

}  // namespace net
