// SPDX-License-Identifier: Apache-2.0
//
// What a NetDevice does on its driver's commands: writes it down, then has it
// done, then says so.
#include <fmt/format.h>

#include <cstddef>
#include <memory>
#include <utility>

#include "base/status_text.h"
#include "net/features.h"
#include "net/net_device.h"

namespace net {

using base::Log;
using base::Severity;
using coalesce::Direction;
using coalesce::Params;
using coalesce::ParamTable;

void NetDevice::SetCoalescing(Direction direction, Params params) {
  params_.SetAll(direction, params);
  Persist();
  for (uint32_t queue = 0; queue < params_.queue_count(); ++queue) {
    if (ParamTable::DirectionOf(queue) == direction) ApplyParams(queue);
  }
  LogChange(direction == Direction::kRx ? "RX_SET" : "TX_SET", params);
}

bool NetDevice::SetQueueCoalescing(uint32_t queue, Params params) {
  if (!params_.SetQueue(queue, params)) return false;
  Persist();
  ApplyParams(queue);
  LogChange("VQ_SET " + NameOf(queue), params);
  return true;
}

std::optional<Params> NetDevice::QueueCoalescing(uint32_t queue) const {
  return params_.Get(queue);
}

bool NetDevice::SetQueuePairs(uint16_t pairs) {
  if (pairs == 0 || pairs > options_.queue_pairs) return false;
  state_.active_pairs = pairs;
  Persist();
  UsePairs();
  if (change_log_.Allow())
    Log(Severity::kInfo, "queue pairs in use: {}", pairs);
  return true;
}

bool NetDevice::SetGuestOffloads(uint64_t offloads) {
  if ((offloads & ~(features_ & kGuestOffloads)) != 0) return false;
  state_.guest_offloads = offloads;
  Persist();
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->Call(
        [&](QueuePair<Tap>& pair) { pair.SetGuestOffloads(offloads); });
  }
  if (change_log_.Allow()) {
    Log(Severity::kInfo, "GUEST_OFFLOADS_SET: {}",
        offloads != 0 ? FeatureNames(offloads) : "none");
  }
  return true;
}

void NetDevice::LogChange(const std::string& what, Params params) {
  if (!change_log_.Allow()) return;
  const uint64_t unsaid = change_log_.TakeSuppressed();
  Log(Severity::kInfo, "{}: usecs={} packets={}{}", what, params.max_usecs,
      params.max_packets,
      unsaid > 0 ? fmt::format(" ({} changes before it not logged)", unsaid)
                 : "");
}

void NetDevice::ApplyParams(uint32_t queue) {
  worker_of(queue).Call([&](QueuePair<Tap>& pair) {
    pair.SetCoalescing(ParamTable::DirectionOf(queue), params_.setting(queue),
                       Now());
  });
}

// --- What the driver gets ---------------------------------------------------

void NetDevice::SetRxMode(RxMode mode, bool on) {
  state_.rx_filter.Set(mode, on);
  FilterChanged();
}

void NetDevice::SetMacTables(const MacTable& unicast,
                             const MacTable& multicast) {
  state_.rx_filter.unicast = unicast;
  state_.rx_filter.multicast = multicast;
  FilterChanged();
}

bool NetDevice::SetMac(const MacAddress& mac) {
  if ((mac[0] & 1) != 0 || mac == MacAddress{}) return false;
  state_.rx_filter.mac = mac;
  FilterChanged();
  ShowMac(mac);
  return true;
}

bool NetDevice::SetVlan(uint16_t id, bool on) {
  if (id >= RxFilter::kVlans) return false;
  state_.rx_filter.SetVlan(id, on);
  FilterChanged();
  return true;
}

void NetDevice::FilterChanged() {
  Persist();
  // None is needed where all is accepted, and none costs nothing.
  std::shared_ptr<const RxFilter> filter;
  if (!state_.rx_filter.AcceptsAll()) {
    filter = std::make_shared<const RxFilter>(state_.rx_filter);
  }
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->Call([&](QueuePair<Tap>& pair) { pair.SetFilter(filter); });
  }
}

void NetDevice::ShowMac(const MacAddress& mac) {
  // Where no driver can change it, it is as the device was made with.
  if (!Has(options_.features, kFeatureCtrlMacAddr) || mac == MacAddress{}) {
    return;
  }
  const absl::Status set = device_.SetConfig(offsetof(ConfigSpace, mac), mac);
  if (!set.ok()) Log(Severity::kError, "MAC address: {}", base::Text(set));
}

// --- What the driver says and asks ------------------------------------------

bool NetDevice::AcknowledgeAnnounce() {
  if (!state_.announce) return false;
  state_.announce = false;
  Persist();
  announcing_ = false;
  announce_at_.reset();
  if (change_log_.Allow()) Log(Severity::kInfo, "the driver announces itself");
  // That was an answer: nobody has to be told.
  return ShowStatus(shown_status_ & static_cast<uint16_t>(~kStatusAnnounce));
}

std::optional<QueueStats> NetDevice::Stats(uint32_t queue) const {
  if (queue / 2 >= workers_.size()) return std::nullopt;
  QueuePairCounters c;
  workers_[queue / 2]->Call([&](QueuePair<Tap>& pair) { c = pair.counters(); });
  if (ParamTable::DirectionOf(queue) == Direction::kRx) {
    return QueueStats{.kicks = c.rx_kicks,
                      .packets = c.rx_packets,
                      .bytes = c.rx_bytes,
                      .notifications = c.rx_queue.notifications,
                      .drops = c.rx_bad_packet + c.rx_refused + c.rx_filtered +
                               c.rx_too_large,
                      .driver_drops = c.rx_too_large};
  }
  const uint64_t malformed = c.tx_bad_chain + c.tx_bad_header + c.tx_bad_length;
  return QueueStats{.kicks = c.tx_kicks,
                    .packets = c.tx_packets,
                    .bytes = c.tx_bytes,
                    .notifications = c.tx_queue.notifications,
                    .drops = malformed + c.tx_port_drops + c.tx_port_refused,
                    .driver_drops = malformed};
}

}  // namespace net
