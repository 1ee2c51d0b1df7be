// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_BENCH_LANE_H_
#define VDUSE_NET_TESTS_BENCH_LANE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "coalesce/time.h"

namespace bench {

using coalesce::Duration;
using coalesce::Instant;

inline Instant Now() { return std::chrono::steady_clock::now(); }

enum class Mode { kTx, kRx, kBoth };  // to the TAP, from it

// What passes a lane.
struct Shape {
  Mode mode = Mode::kTx;
  size_t frame_bytes = 64;

  bool tx() const { return mode != Mode::kRx; }
  bool rx() const { return mode != Mode::kTx; }
};

struct Traffic {
  uint64_t written = 0;
  uint64_t read = 0;
};

// One thread's way of moving packets to and from a queue of a TAP. Every lane
// goes through as many buffers as a virtqueue has, so that all of them touch
// the same amount of memory.
class Lane {
 public:
  virtual ~Lane() = default;

  // Moves a batch of packets, each way that the shape has. With both, as many
  // are written as read.
  virtual Traffic Burst() = 0;

  // The driver's part, if there is one; also from another thread.
  virtual void Drive() {}
};

struct LaneOptions {
  Shape shape;
  uint32_t queue_size = 256;
  uint32_t rx_buffer_bytes = 0;  // of a virtqueue; 0: a packet fits
  std::string engine;            // of the device
};

// All of them on the thread that is to call Burst().

// net::QueuePair over the TAP, and the driver of its virtqueues.
std::unique_ptr<Lane> MakeDeviceLane(base::UniqueFd tap,
                                     const LaneOptions& options);
// writev and readv, a packet per call, its header in an iovec of its own.
std::unique_ptr<Lane> MakeSyscallLane(base::UniqueFd tap,
                                      const LaneOptions& options);
// io_uring in batches of 32, each packet one buffer.
std::unique_ptr<Lane> MakeUringLane(base::UniqueFd tap,
                                    const LaneOptions& options);

}  // namespace bench

#endif  // VDUSE_NET_TESTS_BENCH_LANE_H_
