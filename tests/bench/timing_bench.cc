// SPDX-License-Identifier: Apache-2.0
//
// Whether coalescing keeps its bounds on this machine, and how late the timer
// is: a worker over a real TAP, and a driver on another CPU that watches when
// packets are completed and when it is notified.
//   timing_bench [--rounds N] [--round-ms N] [--timer-poll-usecs N]
// Exits with 1 if a bound was exceeded.
#include <fmt/format.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "tests/bench/measure.h"
#include "tests/bench/pinned_thread.h"
#include "tests/bench/watched_queue.h"
#include "tests/tools/flags.h"

namespace bench {
namespace {

using std::chrono::microseconds;

constexpr Duration kGap = microseconds(10);  // between two packets, on average
constexpr uint32_t kBurst = 32;
constexpr uint32_t kUsecs[] = {8, 16, 50, 100, 1000};
// So many notifications brought about by the time make a percentile.
constexpr size_t kLeastSamples = 100;
constexpr size_t kColumns = 4;  // of the table: both directions, both kinds

// How late what waits for a deadline is: notifications that the time brings
// about, or a thread that does nothing else.
class Lateness {
 public:
  // What took longer than `limit` is late.
  void Add(std::vector<Duration> round, Duration limit) {
    if (round.size() < kLeastSamples) return;
    const auto at =
        round.begin() + static_cast<std::ptrdiff_t>(round.size() * 99 / 100);
    std::nth_element(round.begin(), at, round.end());
    late99_.Add(static_cast<double>(at->count()) / 1000);
    ++rounds_;
    all_ += round.size();
    over_ += static_cast<uint64_t>(
        std::count_if(round.begin(), round.end(),
                      [&](Duration late) { return late > limit; }));
  }

  size_t rounds() const { return rounds_; }  // with enough of them
  // The 99th percentile of each round, microseconds.
  const Series& late99() const { return late99_; }
  // Of all rounds together.
  double PercentLate() const {
    return all_ == 0
               ? 0
               : static_cast<double>(over_) * 100 / static_cast<double>(all_);
  }

 private:
  size_t rounds_ = 0;
  Series late99_;
  uint64_t all_ = 0;
  uint64_t over_ = 0;
};

struct Cell {
  coalesce::Params params;
  net::Direction direction = net::Direction::kRx;
  uint32_t at_once = 1;

  uint64_t notifications = 0;
  uint64_t bound = 0;
  bool exceeded = false;
  Lateness lateness = {};
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

// How late a thread is that does nothing but wait for one deadline after
// another as the worker does, asleep and looking at the clock for the last
// `poll`: what the machine takes, whatever is done with it.
std::vector<Duration> MachineLateness(PinnedThread& thread, Duration delay,
                                      Duration length, Duration poll) {
  const Undisturbed undisturbed;
  std::vector<Duration> lateness;
  lateness.reserve(static_cast<size_t>(length / delay) + 1);
  thread.Start([&] {
    const Undisturbed like_the_worker;
    prctl(PR_SET_TIMERSLACK, 1UL);
    const Instant end = Now() + length;
    for (Instant now = Now(); now < end;) {
      const Instant deadline = now + delay;
      if (delay > poll) std::this_thread::sleep_for(delay - poll);
      do {
        now = Now();
      } while (now < deadline);
      lateness.push_back(now - deadline);
    }
  });
  while (!thread.done()) {  // as the driver does
  }
  thread.Wait();
  return lateness;
}

void Measure(Cell& cell, Duration length, Duration timer_poll, Duration limit) {
  const Undisturbed undisturbed;
  Notified outcome = WatchedQueue({.direction = cell.direction,
                                   .coalescing = cell.params,
                                   .at_once = cell.at_once,
                                   .gap = kGap},
                                  timer_poll)
                         .Run(length);
  const uint64_t bound = outcome.Bound(cell.params);
  cell.notifications += outcome.notifications;
  cell.bound += bound;
  cell.exceeded |= outcome.packets == 0 || outcome.notifications > bound;
  cell.lateness.Add(std::move(outcome.lateness), limit);
}

struct Run {
  uint64_t rounds;
  Duration timer_poll;
  Duration limit;  // what is later is late
};

void Report(const Run& run, const std::vector<Cell>& cells,
            const std::map<uint32_t, Lateness>& machine) {
  fmt::print(
      "How many notifications there were, of how many there may be; the 99th "
      "percentile of how late those were\nthat the time brought about, us, the "
      "median of {} rounds with {} of them at least, and the share that\nwas "
      "more than {} us late; a packet every {} us or {} at once, "
      "--timer-poll-usecs {}\n\n"
      "| usecs/frames | rx, steady | rx, bursts | tx, steady | tx, bursts |\n"
      "|---|---|---|---|---|\n",
      run.rounds, kLeastSamples, run.limit / microseconds(1),
      kGap / microseconds(1), kBurst, run.timer_poll / microseconds(1));
  size_t judged = 0;
  size_t on_time = 0;
  size_t compared = 0;
  size_t near_machine = 0;
  for (size_t i = 0; i < cells.size(); ++i) {
    const Cell& cell = cells[i];
    if (i % kColumns == 0) {
      fmt::print("| {}/{} |", cell.params.max_usecs, cell.params.max_packets);
    }
    fmt::print(" {} of {}", cell.notifications, cell.bound);
    if (2 * cell.lateness.rounds() > run.rounds) {
      const double late = cell.lateness.late99().median();
      const double percent = cell.lateness.PercentLate();
      fmt::print("; {:.1f}, {:.2f} %", late, percent);
      ++judged;
      if (late < static_cast<double>(run.limit / microseconds(1))) ++on_time;
      const Lateness& bare = machine.at(cell.params.max_usecs);
      if (bare.rounds() > 0) {
        ++compared;
        if (percent < bare.PercentLate() + 1) ++near_machine;
      }
    }
    fmt::print(" |{}", i % kColumns == kColumns - 1 ? "\n" : "");
  }
  fmt::print(
      "\nOf {} percentiles {} are under {} us. A thread that only waits:",
      judged, on_time, run.limit / microseconds(1));
  for (const auto& [usecs, lateness] : machine) {
    if (lateness.rounds() == 0) continue;
    fmt::print(" {} us {}, {:.2f} %;", usecs, lateness.late99().Format(),
               lateness.PercentLate());
  }
  fmt::print(
      " of {} shares {} are less than one percentage point above its.\n\n",
      compared, near_machine);
}

int Main(int argc, char** argv) {
  const tools::Flags flags(argc, argv, 1,
                           " --rounds --round-ms --timer-poll-usecs ");
  const uint64_t rounds = flags.Number("--rounds", 9);
  const Duration length = std::chrono::milliseconds(
      std::max<uint64_t>(flags.Number("--round-ms", 200), 1));
  const Duration timer_poll =
      microseconds(flags.Number("--timer-poll-usecs", 0));
  EnterNamespace();
  PinTo(0);
  const Duration limit = microseconds(timer_poll > Duration::zero() ? 5 : 50);
  std::vector<Cell> cells = Cells();
  std::map<uint32_t, Lateness> machine;  // by max_usecs
  PinnedThread watcher(1);
  for (uint64_t round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < cells.size(); ++i) {
      Measure(cells[i], length, timer_poll, limit);
      if (i % kColumns != kColumns - 1) continue;
      const uint32_t usecs = cells[i].params.max_usecs;
      machine[usecs].Add(
          MachineLateness(watcher, microseconds(usecs), length, timer_poll),
          limit);
    }
  }
  Report({.rounds = rounds, .timer_poll = timer_poll, .limit = limit}, cells,
         machine);
  return std::any_of(cells.begin(), cells.end(),
                     [](const Cell& cell) { return cell.exceeded; })
             ? 1
             : 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::Main(argc, argv); }
