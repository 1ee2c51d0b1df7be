// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_SIMULATE_ARRIVALS_H_
#define VDUSE_NET_SIMULATE_ARRIVALS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "coalesce/time.h"

namespace simulate {

using coalesce::Duration;
using coalesce::Instant;

// The arrival times of packets, in order; the first is Instant{}.
using Arrivals = std::vector<Instant>;

// The largest number of packets; each takes 8 bytes.
inline constexpr uint64_t kMaxPackets = 50'000'000;

// Generates packets by a rule: "steady:RATE", "poisson:RATE" or
// "bursts:RATE,SIZE" (SIZE packets at a time). RATE is in packets per second;
// for bursts it is the average. The same seed gives the same packets.
//   InvalidArgument: the message says what is wrong with the rule or `packets`.
absl::StatusOr<Arrivals> Generate(std::string_view rule, uint64_t packets,
                                  uint64_t seed);

}  // namespace simulate

#endif  // VDUSE_NET_SIMULATE_ARRIVALS_H_
