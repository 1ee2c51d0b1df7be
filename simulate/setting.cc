// SPDX-License-Identifier: Apache-2.0
#include "simulate/setting.h"

#include <fmt/format.h>

#include <cstdint>

#include "base/parse_number.h"

namespace simulate {
namespace {

using coalesce::Goal;
using coalesce::Params;
using coalesce::Setting;

constexpr auto Parse = base::ParseNumber<uint32_t>;

}  // namespace

absl::StatusOr<Setting> ParseSetting(std::string_view text) {
  if (text == "off") return Setting();
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    const auto usecs = Parse(text.substr(0, slash));
    const auto frames = Parse(text.substr(slash + 1));
    if (usecs && frames) {
      return Setting(Params{.max_packets = *frames, .max_usecs = *usecs});
    }
  }
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    const std::string_view kind = text.substr(0, colon);
    const auto value = Parse(text.substr(colon + 1));
    if (value && *value > 0 && *value <= Goal::kMaxValue &&
        (kind == "latency" || kind == "rate")) {
      return Setting(Params(),
                     {.kind = kind == "rate" ? Goal::Kind::kMaxRate
                                             : Goal::Kind::kTargetLatency,
                      .value = *value});
    }
  }
  return absl::InvalidArgumentError(
      fmt::format("setting '{}' must be off, USECS/FRAMES, latency:USECS or "
                  "rate:PER_SECOND, the last two from 1 to {}",
                  text, Goal::kMaxValue));
}

std::string FormatSetting(const Setting& setting) {
  if (setting.goal) {
    return fmt::format(
        "{}:{}",
        setting.goal->kind == Goal::Kind::kMaxRate ? "rate" : "latency",
        setting.goal->value);
  }
  if (setting.params == Params()) return "off";
  return fmt::format("{}/{}", setting.params.max_usecs,
                     setting.params.max_packets);
}

}  // namespace simulate
