// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_SIMULATE_REPLAY_H_
#define VDUSE_NET_SIMULATE_REPLAY_H_

#include <cstdint>

#include "coalesce/coalescer.h"
#include "coalesce/histogram.h"
#include "simulate/arrivals.h"

namespace simulate {

// The coalescer's environment: the ring, the timer and the driver.
struct Surroundings {
  uint32_t queue_size = 256;
  Duration timer_lateness{};  // how late every timer fires
  // How long the driver takes for a packet. After a notification it polls until
  // no packet is left, including those that arrive meanwhile, and wants no
  // notification until then. With 0 it wants every notification.
  Duration poll_per_packet{};
};

// The result of a replay. `delay_ns` has a value for each packet: the time from
// its arrival until the driver is notified of it, or takes it while polling.
struct Outcome {
  uint64_t packets = 0;
  Duration elapsed{};  // from the first packet to the last event
  uint64_t notifications = 0;
  uint64_t suppressed = 0;  // due, but the driver was polling or had polled
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

// Replays `arrivals` to a real coalescer on a simulated clock. `arrivals` must
// not be empty.
void Replay(const Arrivals& arrivals, const coalesce::Setting& setting,
            const Surroundings& surroundings, Outcome& outcome);

}  // namespace simulate

#endif  // VDUSE_NET_SIMULATE_REPLAY_H_
