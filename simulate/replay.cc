// SPDX-License-Identifier: Apache-2.0
#include "simulate/replay.h"

#include <algorithm>

namespace simulate {
namespace {

using coalesce::Coalescer;

// The device's side is a real coalescer. The driver's side is NAPI as in Linux:
// on a notification it turns notifications off and polls until it finds no more
// packets. Then it turns notifications on and polls once more.
class Simulation {
 public:
  Simulation(const Arrivals& arrivals, const Surroundings& surroundings,
             Outcome& outcome)
      : arrivals_(arrivals),
        surroundings_(surroundings),
        outcome_(outcome),
        coalescer_(surroundings.queue_size) {}

  void Run(const coalesce::Setting& setting) {
    (void)coalescer_.Set(setting, Instant{});
    for (size_t i = 0; i < arrivals_.size();) {
      const Instant now = arrivals_[i];
      FireUntil(now);
      PollUntil(now);
      // Packets that arrive at the same moment are completed together.
      const size_t begin = i;
      while (i < arrivals_.size() && arrivals_[i] == now) ++i;
      came_ = i;
      if (coalescer_.OnCompleted(static_cast<uint32_t>(i - begin), now)) {
        Flush(now);
      }
    }
    FireUntil(Instant::max());
    PollUntil(Instant::max());
    outcome_.packets = arrivals_.size();
    outcome_.elapsed = std::max(last_, arrivals_.back()).time_since_epoch();
  }

 private:
  void FireUntil(Instant limit) {
    while (coalescer_.deadline()) {
      const Instant at = *coalescer_.deadline() + surroundings_.timer_lateness;
      if (at > limit) return;
      PollUntil(at);
      if (coalescer_.OnTimer(at)) Flush(at);
    }
  }

  // Does what the driver does before `limit`. A packet that arrives at the very
  // moment of the driver's last poll is still found by that poll.
  void PollUntil(Instant limit) {
    while (polling_ && polled_until_ < limit) {
      if (taken_ == came_) {
        polling_ = false;
        return;
      }
      Take(1, polled_until_);
    }
  }

  // A notification is due. The driver does not want it while it polls, nor if
  // it has already taken all packets.
  void Flush(Instant now) {
    last_ = std::max(last_, now);
    if (polling_ || taken_ == came_) {
      ++outcome_.suppressed;
      return;
    }
    ++outcome_.notifications;
    coalescer_.OnNotified(now);
    polling_ = surroundings_.poll_per_packet > Duration::zero();
    Take(came_ - taken_, now);
  }

  void Take(size_t packets, Instant now) {
    last_ = std::max(last_, now);
    polled_until_ =
        now + static_cast<int64_t>(packets) * surroundings_.poll_per_packet;
    for (const size_t end = taken_ + packets; taken_ < end; ++taken_) {
      outcome_.delay_ns.Record(
          static_cast<uint64_t>((now - arrivals_[taken_]).count()));
    }
  }

  const Arrivals& arrivals_;
  const Surroundings& surroundings_;
  Outcome& outcome_;
  Coalescer coalescer_;
  size_t came_ = 0;   // packets that have arrived
  size_t taken_ = 0;  // packets that the driver has taken
  bool polling_ = false;
  Instant polled_until_{};  // when the driver is done with what it has taken
  Instant last_{};
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
