// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SIM_WORLD_H_
#define VDUSE_NET_TESTS_SIM_WORLD_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "coalesce/time.h"

namespace sim {

using coalesce::Duration;
using coalesce::Instant;

// What everything in a simulation shares: chance, the clock, and a journal of
// the last events. All chance comes from the seed, and nothing else differs
// between two runs, so a run can be repeated.
class World {
 public:
  explicit World(uint64_t seed) : state_(seed) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // --- Chance ---

  // A number from 0 to `end` - 1.
  uint64_t Below(uint64_t end) { return Random() % end; }
  // A number from `least` to `most`.
  uint64_t Between(uint64_t least, uint64_t most) {
    return least + Below(most - least + 1);
  }
  bool OneIn(uint64_t n) { return Below(n) == 0; }

  // --- Time ---

  Instant now() const { return now_; }
  void Advance(Duration by) { now_ += by; }
  void AdvanceTo(Instant to) {
    if (to > now_) now_ = to;
  }

  // --- The journal ---

  uint64_t steps() const { return steps_; }
  void CountStep() { ++steps_; }

  // Notes an event; `what` is a literal.
  void Note(const char* what, uint64_t a = 0, uint64_t b = 0) {
    events_[noted_++ % events_.size()] = {now_, steps_, what, a, b};
  }
  // The simulation has found a defect. Only the first one is kept.
  void Fail(const std::string& text);
  bool failed() const { return !failure_.empty(); }
  const std::string& failure() const { return failure_; }
  // The last events, one a line.
  std::string Journal() const;

  // --- The process that serves the device ---

  // It may die here: each of its calls to the kernel or to its port has such a
  // point before and after what it does. Other threads and CPUs get their turn
  // here, too.
  void Point() {
    if (on_point_) on_point_();
  }
  void OnPoint(std::function<void()> on_point) {
    on_point_ = std::move(on_point);
  }
  // The process is dead: its code runs to the end of its turn, but no call has
  // an effect.
  bool dead() const { return dead_; }
  void SetDead(bool dead) { dead_ = dead; }

 private:
  struct Event {
    Instant at{};
    uint64_t step = 0;
    const char* what = nullptr;
    uint64_t a = 0;
    uint64_t b = 0;
  };

  uint64_t Random();

  uint64_t state_;
  Instant now_{std::chrono::seconds(1000)};
  uint64_t steps_ = 0;
  std::array<Event, 200> events_{};
  uint64_t noted_ = 0;
  std::string failure_;
  std::function<void()> on_point_;
  bool dead_ = false;
};

}  // namespace sim

#endif  // VDUSE_NET_TESTS_SIM_WORLD_H_
