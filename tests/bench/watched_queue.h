// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_BENCH_WATCHED_QUEUE_H_
#define VDUSE_NET_TESTS_BENCH_WATCHED_QUEUE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "net/path/worker.h"
#include "tests/bench/bench_driver.h"
#include "tests/bench/bench_tap.h"

namespace bench {

// What came of a queue's coalescing.
struct Notified {
  uint64_t packets = 0;
  Duration elapsed{};
  uint64_t notifications = 0;
  // When each was completed; the first at Instant{}.
  std::vector<Instant> arrivals;
  Duration waited{};  // all packets together, until their notifications
  std::vector<Duration> lateness;  // of those that the time brought about
  uint64_t switched = 0;  // times that adaptive went over to waiting, or back

  // The most that there may be, early ones apart.
  uint64_t Bound(coalesce::Params params) const;
};

// One queue of a worker, over a real TAP, and its driver, which watches from
// the calling thread when packets are completed, and always wants
// notifications. The worker's thread is on CPU 1.
class WatchedQueue {
 public:
  struct Setting {
    net::Direction direction = net::Direction::kRx;
    coalesce::Setting coalescing;
    uint32_t at_once = 1;  // packets
    Duration gap{};        // between two of them, on average
    Duration on{}, off{};  // packets for so long, then none; 0: no pauses
    uint32_t queue_size = 256;
  };

  WatchedQueue(const Setting& setting, Duration timer_poll);

  // Brings packets for so long, and waits for what is pending then.
  Notified Run(Duration length);

 private:
  // When packets up to the `end`th were seen to be completed.
  struct Completion {
    Instant at;
    uint64_t end;
  };

  void Bring();
  void Watch();
  // What the injections notified of, in all.
  Notified Sum(const std::vector<BenchDevice::Injection>& injections,
               Duration elapsed) const;

  const Setting setting_;
  const bool rx_;
  BenchDevice device_;
  BenchQueue queue_;
  BenchTap tap_;
  base::UniqueFd attention_;
  std::unique_ptr<net::Worker> worker_;
  std::vector<Completion> completions_;
};

}  // namespace bench

#endif  // VDUSE_NET_TESTS_BENCH_WATCHED_QUEUE_H_
