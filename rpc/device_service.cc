// SPDX-License-Identifier: Apache-2.0
#include "rpc/device_service.h"

#include <fmt/format.h>

#include <limits>
#include <set>
#include <utility>

#include "base/status_text.h"
#include "rpc/varlink_message.h"

namespace rpc {

namespace {

using coalesce::Direction;
using coalesce::Goal;
using coalesce::Histogram;
using coalesce::Setting;
using coalesce::Source;
using nlohmann::json;

VarlinkReply Failure(std::string reason) {
  return {.error = fmt::format("{}.Failed", kDeviceInterface),
          .parameters = {{"reason", std::move(reason)}}};
}

json ToJson(const coalesce::Params& params) {
  return {{"usecs", params.max_usecs}, {"frames", params.max_packets}};
}

json ToJson(const Setting& setting) {
  json result = ToJson(setting.params);
  result["adaptive"] = setting.goal.has_value();
  if (setting.goal) {
    result[setting.goal->kind == Goal::Kind::kTargetLatency
               ? "target_latency_usecs"
               : "max_irq_rate"] = setting.goal->value;
  }
  return result;
}

json ToJson(const Histogram& histogram) {
  return {{"count", histogram.count()},      {"sum", histogram.sum()},
          {"p50", histogram.Quantile(0.5)},  {"p90", histogram.Quantile(0.9)},
          {"p99", histogram.Quantile(0.99)}, {"max", histogram.max()}};
}

const char* VarlinkName(Source source) {
  switch (source) {
    case Source::kOperator:
      return "operator";
    case Source::kDriverAll:
      return "driver_all";
    case Source::kDriverQueue:
      return "driver_queue";
    case Source::kAdaptive:
      return "adaptive";
  }
  return "";
}

json ToJson(const net::CoalescingReport& report) {
  const net::NotifiedQueue::Counters& c = report.counters;
  json causes = json::object();
  for (size_t i = 0; i < net::kFlushCauses; ++i) {
    causes[std::string(FlushCauseName(static_cast<net::FlushCause>(i)))] =
        c.causes[i];
  }
  json result = {
      {"index", report.queue},
      {"direction", DirectionName(report.direction)},
      {"enabled", report.requested.enabled},
      {"source", VarlinkName(report.requested.source)},
      {"requested", ToJson(report.requested.params)},
      {"packets", c.packets},
      {"flushes", c.flushes},
      {"suppressed", c.suppressed},
      {"notifications", c.notifications},
      {"cancelled", c.cancelled},
      {"waited_nsecs", c.waited_ns},
      {"read_nsecs", report.read_at.time_since_epoch().count()},
      {"causes", std::move(causes)},
      {"decisions",
       {{"alone", c.decisions.alone},
        {"through", c.decisions.through},
        {"gathered", c.decisions.gathered},
        {"futile", c.decisions.futile},
        {"switched", c.decisions.switched}}},
      {"packets_per_notification", ToJson(report.histograms->packets)},
      {"delay_nsecs", ToJson(report.histograms->delay_ns)},
      {"timer_lateness_nsecs", ToJson(report.histograms->lateness_ns)}};
  if (report.effective) {
    result["effective"] = ToJson(*report.effective);
    if (report.goal) result["waiting"] = report.waiting;
  }
  return result;
}

// Reads the members of a Change, and remembers the first invalid one.
class ChangeReader {
 public:
  explicit ChangeReader(const json& object) : object_(object) {}

  std::optional<uint32_t> Number(const char* name, uint64_t least,
                                 uint64_t most) {
    const auto member = Find(name);
    if (member == object_.end() || member->is_null()) return std::nullopt;
    const std::optional<uint64_t> number = WholeNumber(*member);
    if (!number || *number < least || *number > most) {
      Fail(name);
      return std::nullopt;
    }
    return static_cast<uint32_t>(*number);
  }
  std::optional<bool> Flag(const char* name) {
    const auto member = Find(name);
    if (member == object_.end() || member->is_null()) return std::nullopt;
    const auto* flag = member->get_ptr<const json::boolean_t*>();
    if (flag == nullptr) {
      Fail(name);
      return std::nullopt;
    }
    return *flag;
  }
  // Checks that there are no members but those that were read.
  void End() {
    for (const auto& [name, value] : object_.items()) {
      if (!known_.contains(name)) Fail(name);
    }
  }
  void Fail(const std::string& name) {
    if (bad_.empty()) bad_ = name;
  }
  const std::string& bad() const { return bad_; }

 private:
  json::const_iterator Find(const char* name) {
    known_.insert(name);
    return object_.find(name);
  }

  const json& object_;
  std::set<std::string, std::less<>> known_;
  std::string bad_;
};

// Returns the name of the invalid member; empty if there is none.
std::string Parse(const json& object, SettingChange& change) {
  constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max();
  ChangeReader reader(object);
  change.usecs = reader.Number("usecs", 0, kMost);
  change.frames = reader.Number("frames", 0, kMost);
  change.adaptive = reader.Flag("adaptive");
  const auto latency =
      reader.Number("target_latency_usecs", 1, Goal::kMaxValue);
  const auto rate = reader.Number("max_irq_rate", 1, Goal::kMaxValue);
  if (latency) {
    change.goal = Goal{.kind = Goal::Kind::kTargetLatency, .value = *latency};
  }
  if (rate) {
    change.goal = Goal{.kind = Goal::Kind::kMaxRate, .value = *rate};
    if (latency) reader.Fail("max_irq_rate");
  }
  if (change.goal && change.adaptive == false) reader.Fail("adaptive");
  reader.End();
  return reader.bad();
}

VarlinkReply GetCoalescing(const DeviceOperations& device) {
  json queues = json::array();
  for (const net::CoalescingReport& report : device.report()) {
    queues.push_back(ToJson(report));
  }
  return {.error = "",
          .parameters = {{"device", device.name},
                         {"rx", ToJson(device.setting(Direction::kRx))},
                         {"tx", ToJson(device.setting(Direction::kTx))},
                         {"queues", std::move(queues)}}};
}

// Applies all changes, or none.
VarlinkReply SetCoalescing(const DeviceOperations& device,
                           const json& parameters) {
  struct Side {
    const char* name;
    Direction direction;
    SettingChange change;
  };
  Side sides[] = {{.name = "rx", .direction = Direction::kRx, .change = {}},
                  {.name = "tx", .direction = Direction::kTx, .change = {}}};
  for (const auto& [name, value] : parameters.items()) {
    if (name != sides[0].name && name != sides[1].name) {
      return VarlinkReply::InvalidParameter(name);
    }
  }
  for (Side& side : sides) {
    const auto member = parameters.find(side.name);
    if (member == parameters.end() || member->is_null()) continue;
    if (!member->is_object()) return VarlinkReply::InvalidParameter(side.name);
    if (const std::string bad = Parse(*member, side.change); !bad.empty()) {
      return VarlinkReply::InvalidParameter(
          fmt::format("{}.{}", side.name, bad));
    }
  }
  for (const Side& side : sides) {
    if (side.change.empty()) continue;
    device.change_setting(side.direction,
                          Changed(device.setting(side.direction), side.change));
  }
  json kept = json::array();
  for (const net::CoalescingReport& report : device.report()) {
    const Side& side = sides[report.direction == Direction::kRx ? 0 : 1];
    const Source source = report.requested.source;
    if (!side.change.empty() &&
        (source == Source::kDriverAll || source == Source::kDriverQueue)) {
      kept.push_back(report.queue);
    }
  }
  return {.error = "", .parameters = {{"kept_by_driver", std::move(kept)}}};
}

VarlinkReply SaveState(const DeviceOperations& device) {
  const absl::StatusOr<std::string> text = device.state();
  if (!text.ok()) return Failure(base::Text(text.status()));
  return {.error = "",
          .parameters = {{"state", json::parse(*text, nullptr, false)}}};
}

VarlinkReply GetProcesses(const DeviceOperations& device) {
  json processes = json::array();
  for (const ProcessReport& process : device.processes()) {
    processes.push_back({{"role", process.role},
                         {"pid", process.pid},
                         {"sandboxed", process.sandboxed},
                         {"user", process.user},
                         {"capabilities", process.capabilities},
                         {"no_new_privileges", process.no_new_privileges},
                         {"no_dumps", process.no_dumps},
                         {"calls_filtered", process.calls_filtered},
                         {"landlock", process.landlock},
                         {"text", process.text}});
  }
  return {.error = "",
          .parameters = {{"device", device.name},
                         {"processes", std::move(processes)}}};
}

}  // namespace

std::string DeviceSocket(const std::string& state_dir,
                         const std::string& name) {
  return state_dir + "/" + name + ".sock";
}

Setting Changed(Setting setting, const SettingChange& change) {
  if (change.usecs) setting.params.max_usecs = *change.usecs;
  if (change.frames) setting.params.max_packets = *change.frames;
  if (change.goal) {
    setting.goal = change.goal;
  } else if (change.adaptive == false) {
    setting.goal.reset();
  } else if (change.adaptive == true && !setting.goal) {
    setting.goal = kDefaultGoal;
  }
  return setting;
}

json ToJson(const SettingChange& change) {
  json result = json::object();
  if (change.usecs) result["usecs"] = *change.usecs;
  if (change.frames) result["frames"] = *change.frames;
  if (change.adaptive) result["adaptive"] = *change.adaptive;
  if (change.goal) {
    result[change.goal->kind == Goal::Kind::kTargetLatency
               ? "target_latency_usecs"
               : "max_irq_rate"] = change.goal->value;
  }
  return result;
}

VarlinkInterface DeviceService(const DeviceOperations& device) {
  VarlinkInterface interface;
  interface.name = kDeviceInterface;
  interface.description = kDeviceDescription;
  interface.methods["GetCoalescing"] = [device](const json&) {
    return GetCoalescing(device);
  };
  interface.methods["SetCoalescing"] = [device](const json& parameters) {
    return SetCoalescing(device, parameters);
  };
  interface.methods["GetProcesses"] = [device](const json&) {
    return GetProcesses(device);
  };
  interface.methods["SaveState"] = [device](const json&) {
    return SaveState(device);
  };
  return interface;
}

}  // namespace rpc
