// SPDX-License-Identifier: Apache-2.0
//
// What adaptive coalescing does to a worker over a real TAP, whose driver does
// not poll instead of being notified: packets that come alone, as many as can
// be, and as many with pauses in between.
//   adaptive_bench [--rounds N] [--round-ms N]
#include <fmt/format.h>

#include <chrono>
#include <string>
#include <vector>

#include "simulate/setting.h"
#include "tests/bench/measure.h"
#include "tests/bench/pinned_thread.h"
#include "tests/bench/watched_queue.h"
#include "tests/tools/flags.h"

namespace bench {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

struct Case {
  const char* setting;
  uint32_t queue_size;
};
// The ring may end a wait, and so keep a low rate from being met. What is not
// coalesced comes first of each ring.
constexpr Case kCases[] = {{"off", 256},         {"latency:50", 256},
                           {"latency:200", 256}, {"rate:8000", 256},
                           {"rate:2000", 256},   {"off", 1024},
                           {"rate:2000", 1024}};

struct Load {
  const char* name;
  Duration gap;
  int rounds_each;  // so many lengths of a round, to see enough packets
  Duration on{}, off{};
};
constexpr Load kLoads[] = {
    {.name = "100 a second", .gap = milliseconds(10), .rounds_each = 5},
    {.name = "full load", .gap = microseconds(1), .rounds_each = 1},
    {.name = "1 ms full, 1 ms none",
     .gap = microseconds(1),
     .rounds_each = 1,
     .on = milliseconds(1),
     .off = milliseconds(1)},
    {.name = "20 ms full, 20 ms none",
     .gap = microseconds(1),
     .rounds_each = 1,
     .on = milliseconds(20),
     .off = milliseconds(20)}};

// What came of a setting.
struct Figures {
  Series packets_per_second;
  Series per_packet;
  Series per_second;
  Series wait;  // microseconds, mean
  Series switched;
};

// The only ones that may let packets through under load.
bool HasTarget(const coalesce::Setting& setting) {
  return setting.goal &&
         setting.goal->kind == coalesce::Goal::Kind::kTargetLatency;
}

void Measure(const Load& load, net::Direction direction,
             const coalesce::Setting& setting, uint32_t queue_size,
             Duration length, Figures& figures) {
  const Undisturbed undisturbed;
  const Notified outcome = WatchedQueue({.direction = direction,
                                         .coalescing = setting,
                                         .at_once = 1,
                                         .gap = load.gap,
                                         .on = load.on,
                                         .off = load.off,
                                         .queue_size = queue_size},
                                        microseconds(100))
                               .Run(length * load.rounds_each);
  const auto packets = static_cast<double>(outcome.packets);
  const auto notifications = static_cast<double>(outcome.notifications);
  const double seconds = std::chrono::duration<double>(outcome.elapsed).count();
  figures.packets_per_second.Add(packets / seconds);
  figures.per_packet.Add(notifications / packets);
  figures.per_second.Add(notifications / seconds);
  figures.wait.Add(static_cast<double>(outcome.waited.count()) / 1000 /
                   packets);
  figures.switched.Add(static_cast<double>(outcome.switched));
}

int Main(int argc, char** argv) {
  const tools::Flags flags(argc, argv, 1, " --rounds --round-ms ");
  const uint64_t rounds = flags.Number("--rounds", 9);
  const Duration length = milliseconds(flags.Number("--round-ms", 200));
  EnterNamespace();
  PinTo(0);
  std::vector<coalesce::Setting> settings;
  for (const Case& each : kCases) {
    const auto setting = simulate::ParseSetting(each.setting);
    if (!setting.ok())
      tools::Die("{}", std::string(setting.status().message()));
    settings.push_back(*setting);
  }
  fmt::print(
      "Adaptive coalescing, --timer-poll-usecs 100; median (least..most) of {} "
      "rounds; the wait is\na packet's, on average, in us; switched: how often "
      "a target latency went over to waiting, or back\n\n"
      "| | setting | ring | packets/s | notifications/s | per packet | off / "
      "this | wait | switched |\n|---|---|---|---|---|---|---|---|---|\n",
      rounds);
  for (const Load& load : kLoads) {
    for (const auto direction : {net::Direction::kRx, net::Direction::kTx}) {
      std::vector<Figures> all(settings.size());
      for (uint64_t round = 0; round < rounds; ++round) {
        for (size_t i = 0; i < settings.size(); ++i) {
          Measure(load, direction, settings[i], kCases[i].queue_size, length,
                  all[i]);
        }
      }
      size_t off = 0;
      for (size_t i = 0; i < settings.size(); ++i) {
        const Figures& figures = all[i];
        if (settings[i] == coalesce::Setting()) off = i;
        fmt::print("| {}, {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
                   coalesce::DirectionName(direction), load.name,
                   kCases[i].setting, kCases[i].queue_size,
                   figures.packets_per_second.Format(),
                   figures.per_second.Format(), figures.per_packet.Format(),
                   all[off].per_packet.DividedBy(figures.per_packet).Format(),
                   figures.wait.Format(),
                   HasTarget(settings[i]) ? figures.switched.Format() : "–");
      }
    }
  }
  fmt::print("\n");
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::Main(argc, argv); }
