// SPDX-License-Identifier: Apache-2.0
#include "simulate/arrivals.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/parse_number.h"

namespace simulate {
namespace {

constexpr uint32_t kMaxBurst = 100'000;
constexpr double kMinRate = 1e-6;
constexpr double kMaxRate = 1e9;
constexpr double kNanoseconds = 1e9;

absl::Status Invalid(std::string_view rule, std::string_view why) {
  return absl::InvalidArgumentError(
      fmt::format("arrivals '{}': {}; give steady:RATE, poisson:RATE or "
                  "bursts:RATE,SIZE, with the rate in packets per second",
                  rule, why));
}

Instant AtNs(double nanoseconds) {
  return Instant(Duration(static_cast<Duration::rep>(nanoseconds)));
}

}  // namespace

absl::StatusOr<Arrivals> Generate(std::string_view rule, uint64_t packets,
                                  uint64_t seed) {
  const size_t colon = rule.find(':');
  if (colon == std::string_view::npos) return Invalid(rule, "it has no ':'");
  const std::string_view kind = rule.substr(0, colon);
  std::string_view rest = rule.substr(colon + 1);
  uint32_t burst = 1;
  if (kind == "bursts") {
    const size_t comma = rest.find(',');
    if (comma == std::string_view::npos) {
      return Invalid(rule, "it has no burst size");
    }
    const auto size = base::ParseNumber<uint32_t>(rest.substr(comma + 1));
    if (!size || *size == 0 || *size > kMaxBurst) {
      return Invalid(rule,
                     fmt::format("a burst has 1 to {} packets", kMaxBurst));
    }
    burst = *size;
    rest = rest.substr(0, comma);
  } else if (kind != "steady" && kind != "poisson") {
    return Invalid(rule, fmt::format("unknown kind '{}'", kind));
  }
  const auto rate = base::ParseNumber<double>(rest);
  if (!rate || !(*rate >= kMinRate && *rate <= kMaxRate)) {
    return Invalid(rule, "the rate must be from 1e-6 to 1e9");
  }
  if (packets == 0 || packets > kMaxPackets) {
    return absl::InvalidArgumentError(fmt::format(
        "{} packets: the number must be from 1 to {}", packets, kMaxPackets));
  }
  const double gap = kNanoseconds / *rate;
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> pause(1 / gap);
  // Packets beyond the range of the clock arrive at its end.
  constexpr double kEnd = 4e18;
  Arrivals arrivals;
  arrivals.reserve(packets);
  double at = 0;
  for (uint64_t i = 0; i < packets; ++i) {
    arrivals.push_back(AtNs(std::min(at, kEnd)));
    if (kind == "poisson") {
      at += pause(random);
    } else {
      const uint64_t before = (i + 1) / burst * burst;  // whole bursts
      at = gap * static_cast<double>(before);
    }
  }
  return arrivals;
}

}  // namespace simulate
