// SPDX-License-Identifier: Apache-2.0
//
// What rx-usecs does to packets that come evenly: notifications per packet, and
// how long a packet waits for its notification, as a worker over a real TAP
// does it on this machine, its last stretch polled or slept; and in theory:
// what the simulation makes of the same packets as in the polled rounds.
//   sweep_bench [--rounds N] [--round-ms N] [--charts DIRECTORY]
#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "simulate/arrivals.h"
#include "simulate/chart.h"
#include "simulate/replay.h"
#include "tests/bench/measure.h"
#include "tests/bench/pinned_thread.h"
#include "tests/bench/watched_queue.h"
#include "tests/tools/flags.h"

namespace bench {
namespace {

using std::chrono::microseconds;

constexpr Duration kGap = microseconds(10);
constexpr uint32_t kFrames = 64;
constexpr uint32_t kQueueSize = 256;
constexpr uint32_t kUsecs[] = {0, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256};

// One number of microseconds.
struct Row {
  uint32_t usecs = 0;
  struct Figures {
    Series notifications;  // per packet
    Series wait;           // microseconds
  };
  Figures theory;
  Figures polled;
  Figures slept;
};

coalesce::Params ParamsOf(const Row& row) {
  return {.max_packets = kFrames, .max_usecs = row.usecs};
}

// The same packets, with a timer that is never late.
void Simulate(const Row& row, const simulate::Arrivals& arrivals,
              Row::Figures& figures) {
  const auto outcome = std::make_unique<simulate::Outcome>();
  simulate::Replay(arrivals, ParamsOf(row), {.queue_size = kQueueSize},
                   *outcome);
  figures.notifications.Add(outcome->per_packet());
  figures.wait.Add(outcome->mean_delay_usecs());
}

// Returns when the packets came.
simulate::Arrivals Measure(const Row& row, Duration timer_poll, Duration length,
                           Row::Figures& figures) {
  const Undisturbed undisturbed;
  Notified outcome = WatchedQueue({.direction = net::Direction::kRx,
                                   .coalescing = ParamsOf(row),
                                   .at_once = 1,
                                   .gap = kGap},
                                  timer_poll)
                         .Run(length);
  const auto packets = static_cast<double>(outcome.packets);
  figures.notifications.Add(static_cast<double>(outcome.notifications) /
                            packets);
  figures.wait.Add(static_cast<double>(outcome.waited.count()) / 1000 /
                   packets);
  return std::move(outcome.arrivals);
}

void WriteChart(const std::string& path, const std::string& y_text,
                const std::vector<Row>& rows, Series Row::Figures::*figure) {
  simulate::Chart chart{
      .title = fmt::format(
          "a packet every {} us, rx-frames {}; line: simulated, large points: "
          "last stretch polled, small: slept",
          kGap / microseconds(1), kFrames),
      .x_text = "rx-usecs",
      .y_text = y_text,
      .points = {},
      .lines = {{.name = "", .points = {}}}};
  for (const Row& row : rows) {
    chart.lines[0].points.emplace_back(row.usecs,
                                       (row.theory.*figure).median());
    for (const bool polled : {true, false}) {
      chart.points.push_back(
          {.x = static_cast<double>(row.usecs),
           .y = ((polled ? row.polled : row.slept).*figure).median(),
           .name = "",
           .marked = polled});
    }
  }
  const absl::Status status = simulate::WriteSvg(path, simulate::ToSvg(chart));
  if (!status.ok()) tools::Die("{}", std::string(status.message()));
}

int Main(int argc, char** argv) {
  const tools::Flags flags(argc, argv, 1, " --rounds --round-ms --charts ");
  const uint64_t rounds = flags.Number("--rounds", 9);
  const Duration length =
      std::chrono::milliseconds(flags.Number("--round-ms", 200));
  EnterNamespace();
  PinTo(0);
  std::vector<Row> rows;
  for (const uint32_t usecs : kUsecs) {
    Row& row = rows.emplace_back();
    row.usecs = usecs;
  }
  for (uint64_t round = 0; round < rounds; ++round) {
    for (Row& row : rows) {
      Measure(row, Duration(), length, row.slept);
      Simulate(row, Measure(row, microseconds(100), length, row.polled),
               row.theory);
    }
  }
  fmt::print(
      "What rx-usecs does, rx-frames {}, a packet every {} us: notifications "
      "per packet, and microseconds\nthat a packet waits on average; theory: "
      "the polled rounds' packets simulated; median (least..most) of {}\n\n"
      "| rx-usecs | theory | polled | slept | theory, wait | polled | slept "
      "|\n|---|---|---|---|---|---|---|\n",
      kFrames, kGap / microseconds(1), rounds);
  for (const Row& row : rows) {
    fmt::print("| {} | {} | {} | {} | {} | {} | {} |\n", row.usecs,
               row.theory.notifications.Format(),
               row.polled.notifications.Format(),
               row.slept.notifications.Format(), row.theory.wait.Format(),
               row.polled.wait.Format(), row.slept.wait.Format());
  }
  fmt::print("\n");
  if (flags.Has("--charts")) {
    const std::string directory = flags.String("--charts");
    WriteChart(directory + "/sweep-notifications.svg",
               "notifications per packet", rows, &Row::Figures::notifications);
    WriteChart(directory + "/sweep-wait.svg",
               "wait of a packet, mean, microseconds", rows,
               &Row::Figures::wait);
  }
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::Main(argc, argv); }
