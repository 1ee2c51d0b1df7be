// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_SIMULATE_TIMELINE_H_
#define VDUSE_NET_SIMULATE_TIMELINE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "simulate/arrivals.h"

namespace simulate {

// Arrivals computed from timestamps, and what was wrong with the timestamps.
struct Timeline {
  // A packet whose timestamp is earlier than that of a preceding packet, by at
  // most this much, counts as captured out of order, for example on another
  // CPU. It arrives together with the packet before it.
  static constexpr Duration kReordering = std::chrono::milliseconds(1);

  Arrivals arrivals;
  uint64_t reordered = 0;
  // How often the clock was set back. The first packet by the new clock arrives
  // together with the packet before it. Later packets keep their distance from
  // that first packet.
  uint64_t steps = 0;
  Duration largest_step{};
  // Single packets whose timestamp does not fit between those of their
  // neighbours, while these fit together. Each arrives together with the packet
  // before it.
  uint64_t outliers = 0;
  Duration longest_pause{};

  // Returns a line for each kind of fault, and one for a pause that is longer
  // than the rest of the capture.
  std::vector<std::string> Warnings() const;
};

// `stamps` are in the order of the capture. Each is at most kMaxStamp before or
// after Instant{}, so that the difference of any two fits a Duration.
inline constexpr Duration kMaxStamp{4'000'000'000'000'000'000};
Timeline MakeTimeline(std::vector<Instant> stamps);

}  // namespace simulate

#endif  // VDUSE_NET_SIMULATE_TIMELINE_H_
