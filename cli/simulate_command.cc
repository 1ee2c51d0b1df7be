// SPDX-License-Identifier: Apache-2.0
#include "cli/simulate_command.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <utility>

#include "base/log.h"
#include "base/output.h"
#include "cli/command.h"
#include "cli/common_options.h"
#include "net/wire/mac_address.h"
#include "simulate/arrivals.h"
#include "simulate/chart.h"
#include "simulate/replay.h"
#include "simulate/report.h"
#include "simulate/setting.h"
#include "vduse/ring_layout.h"

namespace cli {
namespace {

// The default settings.
constexpr const char* kSweep[] = {
    "off",    "8/64",    "16/64",  "32/64",  "64/64",      "128/64",
    "256/64", "1000/64", "1000/8", "1000/2", "latency:50", "rate:8000"};

// The arrivals of a capture. Logs what is odd about the capture.
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
        "give either --pcap or --arrivals: they say when packets arrive");
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

namespace {

absl::Status IsMac(const std::string& text) {
  return net::ParseMac(text).status();
}

void AddFilter(Command simulate, Option pcap, simulate::CaptureFilter& filter) {
  simulate
      .Value("--filter", filter.expression,
             "Only packets that pcap-filter(7) matches, like 'udp port 53'")
      .Needs(pcap);
  simulate
      .Value("--from", filter.from, "Only packets with this source MAC address")
      .Needs(pcap)
      .Checks(IsMac);
  simulate
      .Value("--to", filter.to,
             "Only packets with this destination MAC address")
      .Needs(pcap)
      .Checks(IsMac);
}

}  // namespace

void AddSimulate(Command program) {
  const auto options = std::make_shared<SimulateOptions>();
  Command simulate = program.Add(
      "simulate",
      "Compute, without a device, how coalescing trades notifications for "
      "latency");
  const Option pcap = simulate.Value(
      "--pcap", options->pcap,
      "Replay the arrival times of this capture, pcap or pcapng (- for "
      "standard input)");
  AddFilter(simulate, pcap, options->filter);
  simulate
      .Value("--arrivals", options->arrivals,
             "Generate arrivals: steady:RATE, poisson:RATE or "
             "bursts:RATE,SIZE, in packets per second")
      .Excludes(pcap);
  simulate
      .Value("--packets", options->packets,
             "Number of packets, with --arrivals")
      .From(1, simulate::kMaxPackets)
      .ShowsDefault();
  simulate.Value("--seed", options->seed, "Seed of random arrivals")
      .From(0, UINT64_MAX)
      .ShowsDefault();
  simulate.Values(
      "settings", options->settings,
      "off, USECS/FRAMES, latency:USECS or rate:PER_SECOND (default: a sweep)");
  simulate
      .Value("--queue-size", options->queue_size,
             "Ring size, which bounds the packets that wait")
      .From(1, vduse::kMaxQueueSize)
      .ShowsDefault();
  simulate
      .Value("--timer-lateness-usecs", options->timer_lateness_usecs,
             "How late each timer fires")
      .From(0, 1'000'000)
      .ShowsDefault();
  simulate
      .Value("--poll-nsecs", options->poll_nsecs,
             "Time for which the driver polls per packet, as NAPI does, "
             "without a notification")
      .From(0, 1'000'000'000)
      .ShowsDefault();
  AddJson(simulate, options->json);
  simulate.Value("--chart", options->chart, "Write a chart here, as SVG");
  simulate.Does([=] { return ReportOrUsage(Simulate(*options)); });
}

}  // namespace cli
