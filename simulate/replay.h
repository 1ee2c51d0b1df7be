// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_SIMULATE_REPLAY_H_
#define VDUSE_NET_SIMULATE_REPLAY_H_

#include <cstdint>

#include "coalesce/coalescer.h"
#include "coalesce/histogram.h"
#include "simulate/arrivals.h"

namespace simulate {

// What surrounds the coalescer.
struct Surroundings {
  uint32_t queue_size = 256;
  Time timer_lateness{};  // of every timer
  // The driver takes so long per packet. It polls after a notification until
  // there are no more packets, also those that have come meanwhile, and wants
  // no notification before. 0: it wants each.
  Time poll_per_packet{};
};

// What came of a replay. `delay_ns` has every packet: from its arrival until
// its driver is notified of it, or takes it without, as it polls.
struct Outcome {
  uint64_t packets = 0;
  Time elapsed{};  // from the first packet to the last that happens
  uint64_t notifications = 0;
  uint64_t suppressed = 0;  // due, but the driver polls or has polled
  coalesce::Histogram delay_ns;

  double per_second() const;
  double per_packet() const {
    return static_cast<double>(notifications) / static_cast<double>(packets);
  }
  double mean_delay_usecs() const {
    return static_cast<double>(delay_ns.sum()) / static_cast<double>(packets) /
           1000;
  }
};

// Has packets arrive at a real coalescer, on a clock that is not. `arrivals` is
// not empty.
void Replay(const Arrivals& arrivals, const coalesce::Setting& setting,
            const Surroundings& surroundings, Outcome& outcome);

}  // namespace simulate

#endif  // VDUSE_NET_SIMULATE_REPLAY_H_
