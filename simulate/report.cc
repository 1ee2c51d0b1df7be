// SPDX-License-Identifier: Apache-2.0
#include "simulate/report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "simulate/chart.h"
#include "simulate/setting.h"

namespace simulate {
namespace {

double Usecs(uint64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1000;
}

}  // namespace

std::string ToTable(const std::vector<Row>& rows) {
  std::string text =
      fmt::format("{:<16}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}\n",
                  "setting", "notified", "per second", "per packet", "mean us",
                  "p50 us", "p99 us", "max us");
  for (const Row& row : rows) {
    const Outcome& o = *row.outcome;
    text += fmt::format(
        "{:<16}{:>12}{:>12.0f}{:>12.4f}{:>12.1f}{:>12.1f}{:>12.1f}{:>12.1f}\n",
        FormatSetting(row.setting), o.notifications, o.per_second(),
        o.per_packet(), o.mean_delay_usecs(), Usecs(o.delay_ns.Quantile(0.5)),
        Usecs(o.delay_ns.Quantile(0.99)), Usecs(o.delay_ns.max()));
  }
  return text;
}

std::string ToJson(const std::vector<Row>& rows) {
  nlohmann::json all = nlohmann::json::array();
  for (const Row& row : rows) {
    const Outcome& o = *row.outcome;
    all.push_back({{"setting", FormatSetting(row.setting)},
                   {"packets", o.packets},
                   {"elapsed_nsecs", o.elapsed.count()},
                   {"notifications", o.notifications},
                   {"suppressed", o.suppressed},
                   {"notifications_per_second", o.per_second()},
                   {"notifications_per_packet", o.per_packet()},
                   {"added_latency_nsecs",
                    {{"mean", o.mean_delay_usecs() * 1000},
                     {"p50", o.delay_ns.Quantile(0.5)},
                     {"p99", o.delay_ns.Quantile(0.99)},
                     {"max", o.delay_ns.max()}}}});
  }
  return base::FormatJson(all);
}

std::string ToChart(const std::vector<Row>& rows, const std::string& title) {
  Chart chart{.title = title,
              .x_text = "added latency, mean, microseconds",
              .y_text = "notifications per second",
              .points = {}};
  for (const Row& row : rows) {
    chart.points.push_back({.x = row.outcome->mean_delay_usecs(),
                            .y = row.outcome->per_second(),
                            .name = FormatSetting(row.setting),
                            .marked = row.setting.goal.has_value()});
  }
  return ToSvg(chart);
}

}  // namespace simulate
