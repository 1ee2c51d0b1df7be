// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_SIMULATE_ARRIVALS_H_
#define VDUSE_NET_SIMULATE_ARRIVALS_H_

#include <cstdint>
#include <istream>
#include <string>
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

// Of a capture in the classic pcap format, of either byte order, in micro- or
// nanoseconds. Its content is not to be trusted; only times are looked at. A
// packet that is older than the one before it comes with that one. What is cut
// short in the last packet is left out.
//   InvalidArgument: it is no such capture, or has no packet.
absl::StatusOr<Arrivals> ParsePcap(std::istream& capture);

// The same, of a file.
absl::StatusOr<Arrivals> ReadPcap(const std::string& path);

}  // namespace simulate

#endif  // VDUSE_NET_SIMULATE_ARRIVALS_H_
