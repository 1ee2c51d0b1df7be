// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_SIMULATE_TIMELINE_H_
#define VDUSE_NET_SIMULATE_TIMELINE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "simulate/arrivals.h"

namespace simulate {

// Arrivals made of timestamps, and what was wrong with those.
struct Timeline {
  // A packet that is older than the one before it by no more than this was
  // captured out of order: on another CPU, for one. It comes with the one
  // before.
  static constexpr Time kReordering = std::chrono::milliseconds(1);

  Arrivals arrivals;
  uint64_t reordered = 0;
  // The clock was set back. The packet with the first time of the new clock
  // comes with the one before, and the others as long after it as they say.
  uint64_t steps = 0;
  Time largest_step{};
  // Single packets whose time does not fit between those of their neighbours,
  // which fit together. They come with the one before.
  uint64_t outliers = 0;
  Time longest_pause{};

  // A line for each kind of thing that was wrong, and for a pause that takes
  // more time than all else.
  std::vector<std::string> Warnings() const;
};

// `stamps` are in the order of the capture, as far from each other as int64_t
// can say in nanoseconds: from -kMaxStamp to kMaxStamp.
inline constexpr Time kMaxStamp{4'000'000'000'000'000'000};
Timeline MakeTimeline(std::vector<Time> stamps);

}  // namespace simulate

#endif  // VDUSE_NET_SIMULATE_TIMELINE_H_
