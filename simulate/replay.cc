// SPDX-License-Identifier: Apache-2.0
#include "simulate/replay.h"

#include <algorithm>

namespace simulate {
namespace {

using coalesce::Coalescer;

class Simulation {
 public:
  Simulation(const Arrivals& arrivals, const Surroundings& surroundings,
             Outcome& outcome)
      : arrivals_(arrivals),
        surroundings_(surroundings),
        outcome_(outcome),
        coalescer_(surroundings.queue_size) {}

  void Run(const coalesce::Setting& setting) {
    (void)coalescer_.Set(setting, Time::zero());
    for (size_t i = 0; i < arrivals_.size();) {
      FireUntil(arrivals_[i]);
      // What comes at the same moment is completed together.
      const size_t begin = i;
      while (i < arrivals_.size() && arrivals_[i] == arrivals_[begin]) ++i;
      came_ = i;
      if (coalescer_.OnCompleted(static_cast<uint32_t>(i - begin),
                                 arrivals_[begin])) {
        Flush(arrivals_[begin]);
      }
    }
    FireUntil(Time::max());
    outcome_.packets = arrivals_.size();
    outcome_.elapsed = std::max(last_, arrivals_.back());
  }

 private:
  void FireUntil(Time limit) {
    while (coalescer_.deadline()) {
      const Time at = *coalescer_.deadline() + surroundings_.timer_lateness;
      if (at > limit) return;
      if (coalescer_.OnTimer(at)) Flush(at);
    }
  }

  void Flush(Time now) {
    const bool polling = now < polling_until_;
    if (polling) {
      ++outcome_.suppressed;
    } else {
      ++outcome_.notifications;
      coalescer_.OnNotified(now);
    }
    const Time seen = std::max(now, polling_until_);
    const auto packets = static_cast<int64_t>(came_ - seen_);
    polling_until_ = seen + packets * surroundings_.poll_per_packet;
    for (; seen_ < came_; ++seen_) {
      outcome_.delay_ns.Record(
          static_cast<uint64_t>((seen - arrivals_[seen_]).count()));
    }
    last_ = now;
  }

  const Arrivals& arrivals_;
  const Surroundings& surroundings_;
  Outcome& outcome_;
  Coalescer coalescer_;
  size_t came_ = 0;  // of the packets
  size_t seen_ = 0;  // by the driver
  Time polling_until_{};
  Time last_{};
};

}  // namespace

double Outcome::per_second() const {
  const double seconds = std::chrono::duration<double>(elapsed).count();
  return seconds > 0 ? static_cast<double>(notifications) / seconds : 0;
}

void Replay(const Arrivals& arrivals, const coalesce::Setting& setting,
            const Surroundings& surroundings, Outcome& outcome) {
  Simulation(arrivals, surroundings, outcome).Run(setting);
}

}  // namespace simulate
