// SPDX-License-Identifier: Apache-2.0
#include "cli/simulate_command.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <utility>

#include "base/log.h"
#include "base/output.h"
#include "simulate/arrivals.h"
#include "simulate/chart.h"
#include "simulate/replay.h"
#include "simulate/report.h"
#include "simulate/setting.h"

namespace cli {
namespace {

// Where nothing else is asked for.
constexpr const char* kSweep[] = {
    "off",    "8/64",    "16/64",  "32/64",  "64/64",      "128/64",
    "256/64", "1000/64", "1000/8", "1000/2", "latency:50", "rate:8000"};

// Those of a capture. The log says what is odd about it.
absl::StatusOr<simulate::Arrivals> ArrivalsOf(const SimulateOptions& options) {
  absl::StatusOr<simulate::Capture> capture =
      simulate::ReadCapture(options.pcap, options.filter);
  if (!capture.ok()) return capture.status();
  for (const std::string& warning : capture->warnings) {
    base::Log(base::Severity::kWarning, "{}: {}", options.pcap, warning);
  }
  if (capture->arrivals.size() < capture->packets) {
    base::Log(base::Severity::kInfo, "{}: {} of {} packets", options.pcap,
              capture->arrivals.size(), capture->packets);
  }
  return std::move(capture->arrivals);
}

}  // namespace

absl::Status Simulate(const SimulateOptions& options) {
  const bool by_rule = !options.arrivals.empty();
  if (by_rule == !options.pcap.empty()) {
    return absl::InvalidArgumentError(
        "one of --pcap and --arrivals is wanted: when packets come");
  }
  const absl::StatusOr<simulate::Arrivals> arrivals =
      by_rule
          ? simulate::Generate(options.arrivals, options.packets, options.seed)
          : ArrivalsOf(options);
  if (!arrivals.ok()) return arrivals.status();
  std::vector<std::string> settings = options.settings;
  if (settings.empty()) settings.assign(std::begin(kSweep), std::end(kSweep));
  const simulate::Surroundings surroundings = {
      .queue_size = options.queue_size,
      .timer_lateness = std::chrono::microseconds(options.timer_lateness_usecs),
      .poll_per_packet = std::chrono::nanoseconds(options.poll_nsecs)};
  std::vector<simulate::Row> rows;
  for (const std::string& text : settings) {
    const absl::StatusOr<coalesce::Setting> setting =
        simulate::ParseSetting(text);
    if (!setting.ok()) return setting.status();
    simulate::Row row{.setting = *setting,
                      .outcome = std::make_unique<simulate::Outcome>()};
    simulate::Replay(*arrivals, *setting, surroundings, *row.outcome);
    rows.push_back(std::move(row));
  }
  base::Write(options.json ? simulate::ToJson(rows) : simulate::ToTable(rows));
  if (options.chart.empty()) return absl::OkStatus();
  return simulate::WriteSvg(
      options.chart,
      simulate::ToChart(
          rows, fmt::format("{} packets, {}", arrivals->size(),
                            by_rule ? options.arrivals : options.pcap)));
}

}  // namespace cli
