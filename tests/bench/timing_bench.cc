// SPDX-License-Identifier: Apache-2.0
//
// Whether coalescing keeps its bounds on this machine: a worker over a real
// TAP, and a driver on another CPU that watches when packets are completed and
// when it is notified.
//   timing_bench [--round-ms N] [--timer-poll-usecs N]
#include <fmt/format.h>

#include <string>

#include "tests/bench/pinned_thread.h"
#include "tests/bench/watched_queue.h"
#include "tests/tools/flags.h"

namespace bench {
namespace {

using std::chrono::microseconds;

constexpr Time kGap = microseconds(10);  // between two packets, on average
constexpr uint32_t kBurst = 32;

int Main(int argc, char** argv) {
  const tools::Flags flags(argc, argv, 1, " --round-ms --timer-poll-usecs ");
  const Time length =
      std::chrono::milliseconds(flags.Number("--round-ms", 200));
  const Time timer_poll = microseconds(flags.Number("--timer-poll-usecs", 0));
  EnterNamespace();
  PinTo(0);
  fmt::print(
      "Notifications of bound, and how late those were that the time brought "
      "about: us, median/99th\npercentile; a packet every {} us or {} at once, "
      "--timer-poll-usecs {}\n\n"
      "| usecs/frames | rx, steady | rx, bursts | tx, steady | tx, bursts |\n"
      "|---|---|---|---|---|\n",
      kGap / microseconds(1), kBurst, timer_poll / microseconds(1));
  int status = 0;
  for (const uint32_t usecs : {8U, 16U, 50U, 100U, 1000U}) {
    for (const uint32_t frames : {2U, 16U, 64U, 256U}) {
      std::string row = fmt::format("| {}/{} |", usecs, frames);
      for (const auto direction : {net::Direction::kRx, net::Direction::kTx}) {
        for (const uint32_t at_once : {1U, kBurst}) {
          const WatchedQueue::Setting setting = {
              .direction = direction,
              .coalescing =
                  coalesce::Params{.max_packets = frames, .max_usecs = usecs},
              .at_once = at_once,
              .gap = kGap};
          const Undisturbed undisturbed;
          const Notified outcome =
              WatchedQueue(setting, timer_poll).Run(length);
          const uint64_t bound = outcome.Bound(setting.coalescing.params);
          if (outcome.packets == 0 || outcome.notifications > bound) status = 1;
          row +=
              fmt::format(" {} of {}, {:.1f}/{:.1f} |", outcome.notifications,
                          bound, outcome.LateUsecs(50), outcome.LateUsecs(99));
        }
      }
      fmt::print("{}\n", row);
    }
  }
  fmt::print("\n");
  return status;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::Main(argc, argv); }
