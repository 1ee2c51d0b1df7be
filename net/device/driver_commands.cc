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
#include "net/device/driver_settings.h"
#include "net/device/statistics.h"
#include "net/wire/features.h"

namespace net {

using base::LogLimited;
using base::Severity;
using coalesce::Direction;
using coalesce::Params;
using coalesce::ParamTable;

void DriverSettings::SetCoalescing(Direction direction, Params params) {
  params_.SetAll(direction, params);
  Persist();
  ApplyCoalescing(direction);
  LogCoalescing(direction == Direction::kRx ? "RX_SET" : "TX_SET", params);
}

bool DriverSettings::SetQueueCoalescing(uint32_t queue, Params params) {
  if (!params_.SetQueue(queue, params)) return false;
  Persist();
  ApplyQueueCoalescing(queue);
  LogCoalescing("VQ_SET " + parts_.queues.QueueName(queue), params);
  return true;
}

std::optional<Params> DriverSettings::QueueCoalescing(uint32_t queue) const {
  return params_.Get(queue);
}

bool DriverSettings::SetQueuePairs(uint16_t pairs) {
  if (pairs == 0 || pairs > options_.queue_pairs) return false;
  state_.active_pairs = pairs;
  Persist();
  // Unused pairs do not receive. What is offered on their tx queues is still
  // sent.
  parts_.workers.SetActivePairs(pairs);
  LogLimited(change_log_, Severity::kInfo, "queue pairs in use: {}", pairs);
  return true;
}

bool DriverSettings::SetGuestOffloads(uint64_t offloads) {
  if ((offloads & ~(parts_.session.features() & kGuestOffloads)) != 0)
    return false;
  state_.guest_offloads = offloads;
  Persist();
  parts_.workers.CallAll(
      [&](QueuePair& pair) { pair.rx().SetGuestOffloads(offloads); });
  LogLimited(change_log_, Severity::kInfo, "GUEST_OFFLOADS_SET: {}",
             offloads != 0 ? FeatureNames(offloads) : "none");
  return true;
}

void DriverSettings::LogCoalescing(const std::string& command, Params params) {
  LogLimited(change_log_, Severity::kInfo, "{}: usecs={} packets={}", command,
             params.max_usecs, params.max_packets);
}

void DriverSettings::ApplyCoalescing(Direction direction) {
  for (uint32_t queue = 0; queue < params_.queue_count(); ++queue) {
    if (ParamTable::DirectionOf(queue) == direction) {
      ApplyQueueCoalescing(queue);
    }
  }
}

void DriverSettings::ApplyQueueCoalescing(uint32_t queue) {
  parts_.workers.Call(queue, [&](QueuePair& pair) {
    pair.path(ParamTable::DirectionOf(queue))
        .SetCoalescing(params_.setting(queue), options_.clock());
  });
}

// --- What the driver gets ---------------------------------------------------

void DriverSettings::SetRxMode(RxMode mode, RxModeSwitch to) {
  state_.rx_filter.Set(mode, to == RxModeSwitch::kOn);
  FilterChanged();
}

void DriverSettings::SetMacTables(const MacTable& unicast,
                                  const MacTable& multicast) {
  state_.rx_filter.unicast = unicast;
  state_.rx_filter.multicast = multicast;
  FilterChanged();
}

bool DriverSettings::SetMac(const MacAddress& mac) {
  if ((mac[0] & 1) != 0 || mac == MacAddress{}) return false;
  state_.rx_filter.mac = mac;
  FilterChanged();
  ShowMac(mac);
  // QEMU does not negotiate MAC with the device, and tells its guest all the
  // same.
  const bool told =
      Has(options_.features, kFeatureMac) && options_.mac != MacAddress{};
  if (VmmSendsCommands() && told && mac != options_.mac &&
      change_log_.Allow()) {
    Log(Severity::kWarning,
        "a VMM stands between the driver and the control queue and says MAC "
        "address {}, while this device was made with {}: the driver gets the "
        "packets for {}. Give the VMM the device's address (QEMU: -device "
        "virtio-net-pci,mac=...), or this device the VMM's (--mac)",
        FormatMac(mac), FormatMac(options_.mac),
        Has(parts_.session.features(), kFeatureMac)
            ? "both"
            : "every address, as MAC is not negotiated");
  }
  return true;
}

bool DriverSettings::AddVlan(uint16_t id) {
  if (id >= RxFilter::kVlans) return false;
  state_.rx_filter.AddVlan(id);
  FilterChanged();
  return true;
}

bool DriverSettings::DeleteVlan(uint16_t id) {
  if (id >= RxFilter::kVlans) return false;
  state_.rx_filter.RemoveVlan(id);
  FilterChanged();
  return true;
}

// Whether a VMM stands between the driver and the control queue. The control
// queue is then in an address space of its own, and its commands need not be
// the driver's.
bool DriverSettings::VmmSendsCommands() const {
  return asid(parts_.queues.control_group()) != asid(kDataGroup);
}

void DriverSettings::FilterChanged() {
  Persist();
  RxFilter in_force = state_.rx_filter;
  // A VMM may set an address of its own, although the driver has the address
  // that it was told, or one that it has chosen.
  if (VmmSendsCommands()) {
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
  parts_.workers.CallAll([&](QueuePair& pair) { pair.rx().SetFilter(filter); });
}

void DriverSettings::ShowMac(const MacAddress& mac) {
  // If no driver can change the address, it still is the one that the device
  // was made with.
  if (!Has(options_.features, kFeatureCtrlMacAddr) || mac == MacAddress{}) {
    return;
  }
  const absl::Status set =
      parts_.device.SetConfig(offsetof(ConfigSpace, mac), mac);
  if (!set.ok()) {
    LogLimited(config_log_, Severity::kError, "MAC address: {}",
               base::Text(set));
  }
}

// --- What the driver says and asks ------------------------------------------

bool DriverSettings::AcknowledgeAnnounce() {
  if (state_.announce) {
    state_.announce = false;
    Persist();
    LogLimited(change_log_, Severity::kInfo, "the driver announces itself");
  } else if (!parts_.session.recovers()) {
    return false;
  }  // else an earlier process may have come so far, and not have answered
  return parts_.link.EndAnnouncement();
}

std::optional<QueueStats> DriverSettings::Stats(uint32_t queue) const {
  if (!parts_.queues.IsData(queue)) return std::nullopt;
  // The kernel does not count drops per queue of the TAP: all go to the first
  // queue.
  return ReadQueueStats(parts_.workers, queue,
                        queue == 0 ? parts_.port_drops.count() : 0);
}

}  // namespace net
