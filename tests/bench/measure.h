// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_BENCH_MEASURE_H_
#define VDUSE_NET_TESTS_BENCH_MEASURE_H_

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "tests/bench/bench_tap.h"
#include "tests/bench/lane.h"
#include "tests/bench/pinned_thread.h"

namespace bench {

// Figures of one kind, one per round.
class Series {
 public:
  void Add(double value) { values_.push_back(value); }
  double median() const;
  double min() const;
  double max() const;
  // Round by round, so that what slows a round down cancels out.
  Series DividedBy(const Series& other) const;
  // "median (least..most)", each with three digits.
  std::string Format() const;

 private:
  std::vector<double> values_;
};

// Who moves packets, on how many threads with a TAP queue each. Where a driver
// is needed it runs on the caller's CPU, or, without `driver_apart`, between
// the bursts on the thread's own.
struct Subject {
  std::string name;
  std::function<std::unique_ptr<Lane>(base::UniqueFd, LaneOptions)> make;
  size_t threads = 1;
  bool driver_apart = true;
  Duration driver_rest{};  // of one apart, between two looks at its rings
};

// A subject at work on a TAP of its own.
class Contender {
 public:
  // `threads` outlives it; the subject takes the first ones.
  Contender(const Subject& subject, LaneOptions options,
            const std::string& tap_name,
            std::span<const std::unique_ptr<PinnedThread>> threads);
  ~Contender();
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;

  // Moves packets for that long and returns the time per packet of all threads
  // together, in ns. With both directions a packet is one each way.
  double Round(Duration length);

  // The share of the time in which there was nothing to do, at worst: near 0,
  // or the figures are not the subject's.
  double worst_idle() const { return worst_idle_; }

 private:
  struct Passage {
    Traffic traffic;
    Duration took{};
    Duration idle{};
  };

  void Pass(Duration length, std::span<Passage> passages);
  Passage Work(Lane& lane, Duration length);

  const Shape shape_;
  const bool driver_apart_;
  const Duration driver_rest_;
  BenchTap tap_;
  std::span<const std::unique_ptr<PinnedThread>> threads_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::atomic<bool> stop_ = false;
  double worst_idle_ = 0;
};

}  // namespace bench

#endif  // VDUSE_NET_TESTS_BENCH_MEASURE_H_
