// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_COALESCING_REPORT_H_
#define VDUSE_NET_NET_DEVICE_COALESCING_REPORT_H_

#include <cstdint>
#include <optional>

#include "coalesce/adaptive.h"
#include "coalesce/param_table.h"
#include "net/path/notified_queue.h"

namespace net {

// How one data queue is coalesced, who said so, and what came of it since the
// start of the process.
struct CoalescingReport {
  uint32_t queue = 0;
  coalesce::Direction direction = coalesce::Direction::kRx;
  coalesce::ParamTable::Entry requested;
  std::optional<coalesce::Goal> goal;
  // While the queue runs, what `requested` comes to: as many packets as the
  // ring holds at most, and a second; nothing waits if either was 0.
  std::optional<coalesce::Params> effective;
  bool waiting = false;  // with a goal: under load; else let through
  NotifiedQueue::Counters counters;
  coalesce::Time read_at{};  // when the counters were: CLOCK_MONOTONIC
  // The worker goes on writing them.
  const NotificationHistograms* histograms = nullptr;
};

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_COALESCING_REPORT_H_
