// SPDX-License-Identifier: Apache-2.0
//
// The driver's commands. Each change is persisted first, then put in force,
// then logged.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstddef>
#include <memory>
#include <utility>

#include "base/status_text.h"
#include "net/device/net_device.h"
#include "net/wire/features.h"

namespace net {

using base::LogLimited;
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
  LogLimited(change_log_, Severity::kInfo, "queue pairs in use: {}", pairs);
  return true;
}

bool NetDevice::SetGuestOffloads(uint64_t offloads) {
  if ((offloads & ~(features_ & kGuestOffloads)) != 0) return false;
  state_.guest_offloads = offloads;
  Persist();
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->Call([&](QueuePair& pair) { pair.SetGuestOffloads(offloads); });
  }
  LogLimited(change_log_, Severity::kInfo, "GUEST_OFFLOADS_SET: {}",
             offloads != 0 ? FeatureNames(offloads) : "none");
  return true;
}

void NetDevice::LogChange(const std::string& what, Params params) {
  LogLimited(change_log_, Severity::kInfo, "{}: usecs={} packets={}", what,
             params.max_usecs, params.max_packets);
}

void NetDevice::ApplyParams(uint32_t queue) {
  worker_of(queue).Call([&](QueuePair& pair) {
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
  // QEMU does not negotiate MAC with the device, and tells its guest all the
  // same.
  const bool told =
      Has(options_.features, kFeatureMac) && options_.mac != MacAddress{};
  if (VmmSpeaks() && told && mac != options_.mac && change_log_.Allow()) {
    Log(Severity::kWarning,
        "a VMM stands between the driver and the control queue and says MAC "
        "address {}, while this device was made with {}: the driver gets the "
        "packets for {}. Give the VMM the device's address (QEMU: -device "
        "virtio-net-pci,mac=...), or this device the VMM's (--mac)",
        FormatMac(mac), FormatMac(options_.mac),
        Has(features_, kFeatureMac)
            ? "both"
            : "every address, as MAC is not negotiated");
  }
  return true;
}

bool NetDevice::SetVlan(uint16_t id, bool on) {
  if (id >= RxFilter::kVlans) return false;
  state_.rx_filter.SetVlan(id, on);
  FilterChanged();
  return true;
}

// Whether a VMM stands between the driver and the control queue. The control
// queue is then in an address space of its own, and its commands need not be
// the driver's.
bool NetDevice::VmmSpeaks() const {
  return ctrl_index_ && state_.asids[CtrlGroup()] != state_.asids[kDataGroup];
}

void NetDevice::FilterChanged() {
  Persist();
  RxFilter in_force = state_.rx_filter;
  // A VMM may set an address of its own, although the driver has the address
  // that it was told, or one that it has chosen.
  if (VmmSpeaks()) {
    if (!Has(state_.features, kFeatureMac)) {
      in_force.mac = {};
    } else if (in_force.mac != options_.mac && in_force.mac != MacAddress{}) {
      in_force.unicast.Add(options_.mac);
    }
  }
  // No filter is needed if everything is accepted, and no filter costs nothing.
  std::shared_ptr<const RxFilter> filter;
  if (!in_force.AcceptsAll()) {
    filter = std::make_shared<const RxFilter>(in_force);
  }
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->Call([&](QueuePair& pair) { pair.SetFilter(filter); });
  }
}

void NetDevice::ShowMac(const MacAddress& mac) {
  // If no driver can change the address, it still is the one that the device
  // was made with.
  if (!Has(options_.features, kFeatureCtrlMacAddr) || mac == MacAddress{}) {
    return;
  }
  const absl::Status set = device_.SetConfig(offsetof(ConfigSpace, mac), mac);
  if (!set.ok()) {
    LogLimited(config_log_, Severity::kError, "MAC address: {}",
               base::Text(set));
  }
}

// --- What the driver says and asks ------------------------------------------

bool NetDevice::AcknowledgeAnnounce() {
  if (!state_.announce) return false;
  state_.announce = false;
  Persist();
  announcing_ = false;
  announce_at_.reset();
  LogLimited(change_log_, Severity::kInfo, "the driver announces itself");
  // The field is written once the link is known.
  if (!shown_status_) return true;
  return ShowStatus(*shown_status_ & static_cast<uint16_t>(~kStatusAnnounce));
}

std::optional<QueueStats> NetDevice::Stats(uint32_t queue) const {
  if (!IsData(queue)) return std::nullopt;
  QueuePairCounters c;
  workers_[queue / 2]->Call([&](QueuePair& pair) { c = pair.counters(); });
  if (ParamTable::DirectionOf(queue) == Direction::kRx) {
    // The kernel does not count drops per queue of the TAP: all go to the first
    // queue.
    const uint64_t overruns =
        c.rx_too_large + c.rx_overruns + (queue == 0 ? port_drops_.count() : 0);
    return QueueStats{.kicks = c.rx_kicks,
                      .packets = c.rx_packets,
                      .bytes = c.rx_bytes,
                      .notifications = c.rx_queue.notifications,
                      .drops = c.rx_bad_packet + c.rx_refused + c.rx_filtered +
                               c.rx_over_mtu + c.rx_stale + overruns,
                      .driver_drops = overruns};
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
