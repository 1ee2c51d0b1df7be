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

// What was seen of one direction for a while.
struct Window {
  double seconds = 0;
  uint64_t packets = 0;
  uint64_t notifications = 0;
  uint64_t waited_ns = 0;  // for their notifications, all packets together
};

// Windows with the same parameters.
struct Measured {
  coalesce::Params params;
  std::vector<Window> windows;
};

// A figure over several windows.
struct Figure {
  double median = 0;
  double least = 0;
  double most = 0;

  double range() const { return most - least; }
};

// What parameters come to.
struct Result {
  coalesce::Params params;
  Figure packets_per_second;
  Figure notifications_per_packet;
  Figure wait_usecs;      // of a packet, on average
  bool slows = false;     // in no window as many packets came as with none
  bool on_front = false;  // no other has both fewer notifications and less wait
};

struct Verdict {
  std::vector<Result> results;   // in the order that was given
  std::optional<size_t> choice;  // of them
  std::string reason;            // why there is none
};

// Windows with fewer packets say nothing.
inline constexpr uint64_t kLeastPackets = 100;

// Weighs parameters against none, which are those of `measured`'s first; each
// has at least one window. The choice saves notifications, and more of them
// than the figures vary from one window to the next; lets packets wait for no
// more than `max_wait_usecs` on average; and does not slow the traffic down. Of
// several that save as many, as far as the figures can tell, it has the least
// wait.
Verdict Judge(const std::vector<Measured>& measured, double max_wait_usecs);

}  // namespace tune

#endif  // VDUSE_NET_TUNE_VERDICT_H_
