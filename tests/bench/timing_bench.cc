// SPDX-License-Identifier: Apache-2.0
//
// Whether coalescing keeps its bounds on this machine, and how late the timer
// is: a worker over a real TAP, and a driver on another CPU that watches when
// packets are completed and when it is notified.
//   timing_bench [--rounds N] [--round-ms N] [--timer-poll-usecs N]
// Exits with 1 if a bound was exceeded.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "tests/bench/measure.h"
#include "tests/bench/pinned_thread.h"
#include "tests/bench/watched_queue.h"
#include "tests/tools/flags.h"

namespace bench {
namespace {

using std::chrono::microseconds;

constexpr Time kGap = microseconds(10);  // between two packets, on average
constexpr uint32_t kBurst = 32;
constexpr uint32_t kUsecs[] = {8, 16, 50, 100, 1000};
// So many notifications brought about by the time make a percentile.
constexpr size_t kLeastSamples = 100;

struct Cell {
  coalesce::Params params;
  net::Direction direction = net::Direction::kRx;
  uint32_t at_once = 1;

  uint64_t notifications = 0;
  uint64_t bound = 0;
  bool exceeded = false;
  size_t percentiles = 0;
  Series late50 = {};  // microseconds
  Series late99 = {};
};

std::vector<Cell> Cells() {
  std::vector<Cell> cells;
  for (const uint32_t usecs : kUsecs) {
    for (const uint32_t frames : {2U, 16U, 64U, 256U}) {
      for (const auto direction : {net::Direction::kRx, net::Direction::kTx}) {
        for (const uint32_t at_once : {1U, kBurst}) {
          cells.push_back(
              {.params = {.max_packets = frames, .max_usecs = usecs},
               .direction = direction,
               .at_once = at_once});
        }
      }
    }
  }
  return cells;
}

// How late a thread is that does nothing but look at the clock until a
// deadline: what the machine takes, whatever is done with it. Microseconds, the
// 99th percentile.
double ClockLateUsecs(PinnedThread& thread, Time delay, Time length) {
  const Undisturbed undisturbed;
  std::vector<Time> lateness;
  lateness.reserve(static_cast<size_t>(length / delay) + 1);
  thread.Start([&] {
    const Undisturbed like_the_worker;
    const Time end = Now() + length;
    for (Time now = Now(); now < end;) {
      const Time deadline = now + delay;
      while (now < deadline) now = Now();
      lateness.push_back(now - deadline);
    }
  });
  while (!thread.done()) {  // as the driver does
  }
  thread.Wait();
  const auto at = lateness.begin() +
                  static_cast<std::ptrdiff_t>(lateness.size() * 99 / 100);
  std::nth_element(lateness.begin(), at, lateness.end());
  return static_cast<double>(at->count()) / 1000;
}

void Measure(Cell& cell, Time length, Time timer_poll) {
  const Undisturbed undisturbed;
  const Notified outcome = WatchedQueue({.direction = cell.direction,
                                         .coalescing = cell.params,
                                         .at_once = cell.at_once,
                                         .gap = kGap},
                                        timer_poll)
                               .Run(length);
  const uint64_t bound = outcome.Bound(cell.params);
  cell.notifications += outcome.notifications;
  cell.bound += bound;
  cell.exceeded |= outcome.packets == 0 || outcome.notifications > bound;
  if (outcome.lateness.size() < kLeastSamples) return;
  ++cell.percentiles;
  cell.late50.Add(outcome.LateUsecs(50));
  cell.late99.Add(outcome.LateUsecs(99));
}

int Main(int argc, char** argv) {
  const tools::Flags flags(argc, argv, 1,
                           " --rounds --round-ms --timer-poll-usecs ");
  const uint64_t rounds = flags.Number("--rounds", 9);
  const Time length = std::chrono::milliseconds(
      std::max<uint64_t>(flags.Number("--round-ms", 200), 1));
  const Time timer_poll = microseconds(flags.Number("--timer-poll-usecs", 0));
  EnterNamespace();
  PinTo(0);
  std::vector<Cell> cells = Cells();
  std::map<uint32_t, Series> clock_late99;  // by max_usecs
  PinnedThread watcher(1);
  for (uint64_t round = 0; round < rounds; ++round) {
    for (Cell& cell : cells) Measure(cell, length, timer_poll);
    for (const uint32_t usecs : kUsecs) {
      clock_late99[usecs].Add(
          ClockLateUsecs(watcher, microseconds(usecs), length));
    }
  }
  fmt::print(
      "Notifications of bound, and how late those were that the time brought "
      "about: us, median/99th\npercentile, the medians of {} rounds with {} of "
      "them at least; a packet every {} us or {} at once,\n"
      "--timer-poll-usecs {}\n\n"
      "| usecs/frames | rx, steady | rx, bursts | tx, steady | tx, bursts |\n"
      "|---|---|---|---|---|\n",
      rounds, kLeastSamples, kGap / microseconds(1), kBurst,
      timer_poll / microseconds(1));
  size_t judged = 0;
  size_t under5 = 0;
  size_t under50 = 0;
  size_t near_clock = 0;
  for (size_t i = 0; i < cells.size(); ++i) {
    const Cell& cell = cells[i];
    if (i % 4 == 0) {
      fmt::print("| {}/{} |", cell.params.max_usecs, cell.params.max_packets);
    }
    fmt::print(" {} of {}", cell.notifications, cell.bound);
    if (2 * cell.percentiles > rounds) {
      const double late = cell.late99.median();
      fmt::print(", {:.1f}/{:.1f}", cell.late50.median(), late);
      ++judged;
      if (late < 5) ++under5;
      if (late < 50) ++under50;
      if (late < clock_late99[cell.params.max_usecs].median() + 5) ++near_clock;
    }
    fmt::print(" |{}", i % 4 == 3 ? "\n" : "");
  }
  fmt::print("\nOf {} percentiles {} are under 5 us, and {} under 50 us.\n",
             judged, under5, under50);
  if (timer_poll > Time::zero()) {
    fmt::print("A thread that only looks at the clock:");
    for (const auto& [usecs, late] : clock_late99) {
      fmt::print(" {} us {};", usecs, late.Text());
    }
    fmt::print(" {} percentiles exceed that by less than 5 us.\n", near_clock);
  }
  fmt::print("\n");
  return std::any_of(cells.begin(), cells.end(),
                     [](const Cell& cell) { return cell.exceeded; })
             ? 1
             : 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::Main(argc, argv); }
