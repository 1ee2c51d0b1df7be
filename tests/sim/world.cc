// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/world.h"

#include <fmt/format.h>

#include <algorithm>

namespace sim {

// splitmix64
uint64_t World::Random() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void World::Fail(const std::string& text) {
  if (failed()) return;
  failure_ = text;
  Note("FAILURE");
}

std::string World::Journal() const {
  std::string lines;
  const uint64_t kept = std::min<uint64_t>(noted_, events_.size());
  for (uint64_t i = noted_ - kept; i < noted_; ++i) {
    const Event& event = events_[i % events_.size()];
    lines += fmt::format(
        "{:>10} {:>14.3f} us  {} {} {}\n", event.step,
        static_cast<double>(event.at.time_since_epoch().count()) / 1e3,
        event.what, event.a, event.b);
  }
  return lines;
}

}  // namespace sim
