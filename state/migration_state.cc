// SPDX-License-Identifier: Apache-2.0
#include "state/migration_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "base/json_text.h"
#include "base/status_text.h"
#include "net/wire/features.h"
#include "vduse/ring_layout.h"

namespace state {
namespace {

using coalesce::Params;
using coalesce::ParamTable;
using coalesce::Source;
using nlohmann::json;
using vduse::QueuePosition;

constexpr char kFormat[] = "vduse-net device state";
constexpr uint64_t kVersion = 2;
constexpr size_t kMaxQueues = 64;

// Written instead of a list.
constexpr char kAll[] = "all";

constexpr std::array<std::string_view, net::kRxModes> kModes = {
    "promisc", "allmulti", "alluni", "nomulti", "nouni", "nobcast"};
constexpr std::array<std::string_view, 3> kSources = {"operator", "driver-all",
                                                      "driver-queue"};

json ToJson(const Params& params) {
  return {{"usecs", params.max_usecs}, {"packets", params.max_packets}};
}

json ToJson(const std::optional<Params>& params) {
  return params ? ToJson(*params) : json(nullptr);
}

json ToJson(const net::MacTable& table) {
  if (table.overflow != 0) return kAll;
  json macs = json::array();
  for (size_t i = 0; i < table.count; ++i) {
    macs.push_back(net::FormatMac(table.macs[i]));
  }
  return macs;
}

json ToJson(const net::RxFilter& filter) {
  json modes = json::array();
  for (size_t i = 0; i < kModes.size(); ++i) {
    if (filter.Is(static_cast<net::RxMode>(i))) modes.push_back(kModes[i]);
  }
  json vlans = json::array();
  for (uint16_t id = 0; id < net::RxFilter::kVlans; ++id) {
    if (filter.HasVlan(id)) vlans.push_back(id);
  }
  if (vlans.size() == net::RxFilter::kVlans) vlans = kAll;
  return {{"modes", std::move(modes)},
          {"mac", net::FormatMac(filter.mac)},
          {"unicast", ToJson(filter.unicast)},
          {"multicast", ToJson(filter.multicast)},
          {"vlans", std::move(vlans)}};
}

// Reads values from an untrusted JSON document, and remembers the first error.
class Reader {
 public:
  const absl::Status& status() const { return status_; }

  void Fail(const std::string& what) {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError("device state: " + what);
    }
  }

  const json& Member(const json& object, const char* name) {
    static const json kNothing;
    if (const auto it = object.find(name);
        object.is_object() && it != object.end()) {
      return *it;
    }
    Fail(fmt::format("'{}' is missing", name));
    return kNothing;
  }

  uint64_t Number(const json& object, const char* name, uint64_t limit) {
    const json& value = Member(object, name);
    const auto* number = value.get_ptr<const json::number_unsigned_t*>();
    if (number == nullptr || *number > limit) {
      Fail(fmt::format("'{}' is not a number from 0 to {}", name, limit));
      return 0;
    }
    return *number;
  }

  std::string String(const json& object, const char* name) {
    const auto* text = Member(object, name).get_ptr<const json::string_t*>();
    if (text == nullptr) Fail(fmt::format("'{}' is not a string", name));
    return text != nullptr ? *text : "";
  }

  // A list of up to `limit` entries, or nothing if the document says "all".
  std::optional<json> List(const json& object, const char* name, size_t limit) {
    const json& value = Member(object, name);
    if (value == kAll) return std::nullopt;
    if (!value.is_array() || value.size() > limit) {
      Fail(fmt::format("'{}' is not a list of up to {}", name, limit));
      return json::array();
    }
    return value;
  }

  net::MacAddress Mac(const json& value, const char* name) {
    const auto* text = value.get_ptr<const json::string_t*>();
    const auto mac = net::ParseMac(text != nullptr ? *text : "");
    if (!mac.ok())
      Fail(fmt::format("'{}': {}", name, base::Text(mac.status())));
    return mac.value_or(net::MacAddress{});
  }

  net::MacTable Macs(const json& object, const char* name) {
    net::MacTable table;
    const auto list = List(object, name, net::MacTable::kMaxEntries);
    if (!list) table.overflow = 1;
    for (const json& value : list.value_or(json::array())) {
      table.Add(Mac(value, name));
    }
    return table;
  }

  bool Flag(const json& object, const char* name) {
    const auto* flag = Member(object, name).get_ptr<const json::boolean_t*>();
    if (flag == nullptr) Fail(fmt::format("'{}' is not true or false", name));
    return flag != nullptr && *flag;
  }

  Params Parameters(const json& object) {
    return {.max_packets =
                static_cast<uint32_t>(Number(object, "packets", UINT32_MAX)),
            .max_usecs =
                static_cast<uint32_t>(Number(object, "usecs", UINT32_MAX))};
  }

  std::optional<Params> MaybeParameters(const json& object, const char* name) {
    const json& value = Member(object, name);
    if (value.is_null()) return std::nullopt;
    return Parameters(value);
  }

 private:
  absl::Status status_;
};

uint64_t ParseFeatures(Reader& reader, const json& document, const char* name) {
  const std::string text = reader.String(document, name);
  uint64_t features = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(
      text.data() + std::min<size_t>(2, text.size()), end, features, 16);
  if (!text.starts_with("0x") || parsed.ec != std::errc() ||
      parsed.ptr != end) {
    reader.Fail(fmt::format("'{}' is '{}', not a number like 0x1", name, text));
  }
  return features;
}

void ParseCoalescing(Reader& reader, const json& document,
                     ParamTable::Snapshot& coalescing) {
  coalescing.all_rx = reader.MaybeParameters(document, "all_rx");
  coalescing.all_tx = reader.MaybeParameters(document, "all_tx");
  const json& queues = reader.Member(document, "queues");
  if (!queues.is_array() || queues.size() > kMaxQueues) {
    reader.Fail(fmt::format("'queues' is not a list of up to {}", kMaxQueues));
    return;
  }
  for (const json& queue : queues) {
    ParamTable::Entry entry;
    entry.params = reader.Parameters(queue);
    entry.enabled = reader.Flag(queue, "enabled");
    const std::string source = reader.String(queue, "set_by");
    bool known = false;
    for (size_t i = 0; i < kSources.size(); ++i) {
      if (kSources[i] != source) continue;
      entry.source = static_cast<Source>(i);
      known = true;
    }
    if (!known) reader.Fail(fmt::format("'set_by' is '{}'", source));
    coalescing.queues.push_back(entry);
  }
}

net::RxFilter ParseFilter(Reader& reader, const json& document) {
  net::RxFilter filter;
  filter.mac = reader.Mac(reader.Member(document, "mac"), "mac");
  filter.unicast = reader.Macs(document, "unicast");
  filter.multicast = reader.Macs(document, "multicast");
  const auto modes = reader.List(document, "modes", kModes.size());
  if (!modes) reader.Fail("'modes' is not a list");
  for (const json& mode : modes.value_or(json::array())) {
    // Compared as strings: comparing json values causes a false warning
    // (-Warray-bounds) with g++ 12 at -O3.
    const auto* name = mode.get_ptr<const json::string_t*>();
    const auto known = name == nullptr
                           ? kModes.end()
                           : std::find(kModes.begin(), kModes.end(), *name);
    if (known == kModes.end()) {
      reader.Fail("'modes' has an entry that is not a mode");
      break;
    }
    filter.Set(static_cast<net::RxMode>(known - kModes.begin()), true);
  }
  const auto vlans = reader.List(document, "vlans", net::RxFilter::kVlans);
  if (!vlans) filter.vlans.fill(0xff);
  for (const json& vlan : vlans.value_or(json::array())) {
    const auto* id = vlan.get_ptr<const json::number_unsigned_t*>();
    if (id == nullptr || *id >= net::RxFilter::kVlans) {
      reader.Fail("'vlans' has an entry that is not a VLAN");
      break;
    }
    filter.AddVlan(static_cast<uint16_t>(*id));
  }
  return filter;
}

std::vector<QueuePosition> ParsePositions(Reader& reader, const json& list) {
  std::vector<QueuePosition> positions;
  if (!list.is_array() || list.size() > kMaxQueues) {
    reader.Fail(
        fmt::format("'positions' is not a list of up to {}", kMaxQueues));
    return positions;
  }
  for (const json& position : list) {
    const auto* value = position.get_ptr<const json::number_unsigned_t*>();
    if (value == nullptr || *value > UINT16_MAX) {
      reader.Fail("'positions' has an entry that is not a 16-bit number");
      break;
    }
    positions.push_back({.avail_index = static_cast<uint16_t>(*value)});
  }
  return positions;
}

json ToJson(const std::vector<QueuePosition>& positions) {
  json list = json::array();
  for (const QueuePosition position : positions) {
    list.push_back(position.avail_index);
  }
  return list;
}

}  // namespace

absl::StatusOr<std::string> FormatMigrationState(const MigrationState& state) {
  using Phase = net::DeviceState::Phase;
  const net::DeviceState& device = state.device;
  if (device.phase == Phase::kRunning) {
    return absl::FailedPreconditionError(
        "the driver is active: suspend or stop it first (stop the VM, or "
        "`vdpa dev del`)");
  }
  if (device.phase == Phase::kIdle) {
    return absl::FailedPreconditionError(
        "no driver has used the device yet: there is no state to save");
  }
  if (state.mac == net::MacAddress{}) {
    return absl::FailedPreconditionError(
        "the device's MAC address is not known: this process adopted the "
        "device without the state file of the process that created it, and "
        "without --mac");
  }
  json queues = json::array();
  for (const ParamTable::Entry& entry : device.coalescing.queues) {
    json queue = ToJson(entry.params);
    queue["set_by"] = kSources[static_cast<size_t>(entry.source)];
    queue["enabled"] = entry.enabled;
    queues.push_back(std::move(queue));
  }
  const json document = {
      {"format", kFormat},
      {"version", kVersion},
      {"mac", net::FormatMac(state.mac)},
      {"mtu", state.mtu},
      {"queue_size", state.queue_size},
      {"features", fmt::format("{:#x}", device.features)},
      {"feature_names", net::FeatureNames(device.features)},
      {"guest_offloads", fmt::format("{:#x}", device.guest_offloads)},
      {"rx_filter", ToJson(device.rx_filter)},
      {"active_pairs", device.active_pairs},
      {"positions", ToJson(device.positions)},
      {"coalescing",
       {{"all_rx", ToJson(device.coalescing.all_rx)},
        {"all_tx", ToJson(device.coalescing.all_tx)},
        {"queues", std::move(queues)}}}};
  return base::FormatJson(document);
}

absl::StatusOr<MigrationState> ParseMigrationState(const std::string& text) {
  const json document = base::ParseJson(text);
  if (document.is_discarded() || !document.is_object()) {
    return absl::InvalidArgumentError(
        "device state: not JSON, cut short, or nested too deep");
  }
  Reader reader;
  if (reader.String(document, "format") != kFormat) {
    reader.Fail(fmt::format("'format' is not '{}'", kFormat));
  }
  const uint64_t version = reader.Number(document, "version", UINT64_MAX);
  if (version != kVersion) {
    reader.Fail(
        fmt::format("version {} is unknown: this release reads version {}",
                    version, kVersion));
  }
  if (!reader.status().ok()) return reader.status();

  MigrationState state;
  const absl::StatusOr<net::MacAddress> mac =
      net::ParseDeviceMac(reader.String(document, "mac"));
  if (mac.ok()) {
    state.mac = *mac;
  } else {
    reader.Fail(base::Text(mac.status()));
  }
  state.mtu =
      static_cast<uint16_t>(reader.Number(document, "mtu", net::kMaxMtu));
  if (state.mtu < net::kMinMtu) {
    reader.Fail(fmt::format("'mtu' is {}, below {}", state.mtu, net::kMinMtu));
  }
  state.queue_size = static_cast<uint16_t>(
      reader.Number(document, "queue_size", vduse::kMaxQueueSize));
  if (!vduse::IsQueueSize(state.queue_size)) {
    reader.Fail(fmt::format("'queue_size' is {}, not a power of 2 above 1",
                            state.queue_size));
  }
  state.device.phase = net::DeviceState::Phase::kRestored;
  state.device.features = ParseFeatures(reader, document, "features");
  state.device.guest_offloads =
      ParseFeatures(reader, document, "guest_offloads");
  state.device.rx_filter =
      ParseFilter(reader, reader.Member(document, "rx_filter"));
  state.device.active_pairs = static_cast<uint16_t>(
      reader.Number(document, "active_pairs", net::kMaxQueuePairs));
  state.device.positions =
      ParsePositions(reader, reader.Member(document, "positions"));
  ParseCoalescing(reader, reader.Member(document, "coalescing"),
                  state.device.coalescing);
  if (!reader.status().ok()) return reader.status();
  return state;
}

}  // namespace state
