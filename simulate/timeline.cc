// SPDX-License-Identifier: Apache-2.0
#include "simulate/timeline.h"

#include <fmt/format.h>

#include <algorithm>

namespace simulate {
namespace {

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// Whether a clock that nobody sets can go from `from` to `to`.
bool Follows(Instant from, Instant to) {
  return to >= from - Timeline::kReordering;
}

}  // namespace

Timeline MakeTimeline(std::vector<Instant> stamps) {
  Timeline timeline;
  constexpr Instant kEnd(kMaxStamp);
  Instant last{};   // the last arrival
  Instant clock{};  // the newest time since the clock was last set
  for (size_t i = 0; i < stamps.size(); ++i) {
    const Instant stamp = stamps[i];
    const Instant* const next =
        i + 1 < stamps.size() ? &stamps[i + 1] : nullptr;
    Duration gap{};
    if (i == 0) {
      clock = stamp;
    } else if (next != nullptr && Follows(clock, *next) &&
               (!Follows(clock, stamp) || !Follows(stamp, *next))) {
      ++timeline.outliers;
    } else if (!Follows(clock, stamp)) {
      ++timeline.steps;
      timeline.largest_step = std::max(timeline.largest_step, clock - stamp);
      clock = stamp;
    } else if (stamp < clock) {
      ++timeline.reordered;
    } else {
      gap = stamp - clock;
      clock = stamp;
    }
    timeline.longest_pause = std::max(timeline.longest_pause, gap);
    last = gap < kEnd - last ? last + gap : kEnd;
    stamps[i] = last;
  }
  timeline.arrivals = std::move(stamps);
  return timeline;
}

std::vector<std::string> Timeline::Warnings() const {
  std::vector<std::string> warnings;
  if (steps > 0) {
    warnings.push_back(fmt::format(
        "the capture's clock steps back {} time(s), by up to {:.6f} s: the "
        "packets after a step are treated as following at once",
        steps, Seconds(largest_step)));
  }
  if (outliers > 0) {
    warnings.push_back(fmt::format(
        "{} packet(s) have a time that does not fit between those of their "
        "neighbours: each is treated as arriving with the packet before it",
        outliers));
  }
  if (reordered > 0) {
    warnings.push_back(fmt::format(
        "{} packet(s) are up to 1 ms older than an earlier one: each is "
        "treated as arriving with the packet before it",
        reordered));
  }
  constexpr size_t kFew = 10;
  const Duration elapsed =
      arrivals.empty() ? Duration::zero() : arrivals.back().time_since_epoch();
  if (arrivals.size() > kFew && longest_pause > std::chrono::seconds(1) &&
      longest_pause > elapsed - longest_pause) {
    warnings.push_back(fmt::format(
        "{:.6f} s of the capture's {:.6f} s are one pause: notifications per "
        "second are far fewer than in the rest",
        Seconds(longest_pause), Seconds(elapsed)));
  }
  return warnings;
}

}  // namespace simulate
