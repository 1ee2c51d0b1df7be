// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_SIMULATE_ARRIVALS_H_
#define VDUSE_NET_SIMULATE_ARRIVALS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "coalesce/adaptive.h"

namespace simulate {

using coalesce::Time;

// When packets come, in order, the first at 0.
using Arrivals = std::vector<Time>;

// More packets than this are refused: 8 bytes each.
inline constexpr uint64_t kMaxPackets = 50'000'000;

// Packets by a rule: "steady:RATE", "poisson:RATE", or "bursts:RATE,SIZE" (SIZE
// packets at a time, RATE packets a second on average). RATE is in packets per
// second; the same seed gives the same packets.
//   InvalidArgument: says what is wrong with the text.
absl::StatusOr<Arrivals> Generate(std::string_view rule, uint64_t packets,
                                  uint64_t seed);

}  // namespace simulate

#endif  // VDUSE_NET_SIMULATE_ARRIVALS_H_
