// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TUNE_VERDICT_H_
#define VDUSE_NET_TUNE_VERDICT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coalesce/coalescer.h"

namespace tune {

// Measurements of one direction over a period of time.
struct Window {
  double seconds = 0;
  uint64_t packets = 0;
  uint64_t notifications = 0;
  uint64_t waited_ns = 0;  // sum of all packets' waits for their notification
};

// Windows measured with the same parameters.
struct Measured {
  coalesce::Params params;
  std::vector<Window> windows;
};

// The spread of a figure over several windows.
struct Figure {
  double median = 0;
  double least = 0;
  double most = 0;

  double range() const { return most - least; }
};

// The figures of one set of parameters.
struct Result {
  coalesce::Params params;
  Figure packets_per_second;
  Figure notifications_per_packet;
  Figure wait_usecs;   // mean wait of a packet
  bool slows = false;  // lowers the packet rate in every window
  // On the Pareto front: no other result is better in notifications or wait and
  // no worse in the other one. Results that slow the traffic are left out.
  bool on_front = false;
};

struct Verdict {
  std::vector<Result> results;   // in the order of the measurements
  std::optional<size_t> choice;  // index into `results`
  std::string reason;            // why there is no choice
};

// If a window has fewer packets, there is no choice.
inline constexpr uint64_t kLeastPackets = 100;

// Compares sets of parameters with coalescing off, which is the first element
// of `measured`. Each element has at least one window. The choice
//   - saves notifications, by more than the figures vary between windows;
//   - makes packets wait for at most `max_wait_usecs` on average;
//   - does not slow the traffic down.
// Of several that save equally many, as far as the figures can tell, it is the
// one with the least wait.
Verdict Compare(const std::vector<Measured>& measured, double max_wait_usecs);

}  // namespace tune

#endif  // VDUSE_NET_TUNE_VERDICT_H_
