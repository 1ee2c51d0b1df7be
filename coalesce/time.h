// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_COALESCE_TIME_H_
#define VDUSE_NET_COALESCE_TIME_H_

#include <chrono>

namespace coalesce {

// A point on the monotonic clock, or on a capture's own clock in a simulation.
using Instant = std::chrono::time_point<std::chrono::steady_clock,
                                        std::chrono::nanoseconds>;

// A length of time: the distance between two instants.
using Duration = std::chrono::nanoseconds;

}  // namespace coalesce

#endif  // VDUSE_NET_COALESCE_TIME_H_
