// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_COALESCING_REPORT_H_
#define VDUSE_NET_NET_DEVICE_COALESCING_REPORT_H_

#include <cstdint>
#include <optional>

#include "coalesce/adaptive.h"
#include "coalesce/param_table.h"
#include "coalesce/time.h"
#include "net/path/notified_queue.h"

namespace net {

// How one data queue is coalesced, who set that, and what resulted since the
// start of the process.
struct CoalescingReport {
  uint32_t queue = 0;
  coalesce::Direction direction = coalesce::Direction::kRx;
  coalesce::ParamTable::Entry requested;
  std::optional<coalesce::Goal> goal;
  // The parameters in force while the queue runs: `requested`, bounded by the
  // size of the ring and by one second. Nothing waits if either parameter is 0.
  std::optional<coalesce::Params> effective;
  bool waiting = false;  // with a goal: packets wait under load
  NotifiedQueue::Counters counters;
  coalesce::Instant read_at{};  // when `counters` was read, CLOCK_MONOTONIC
  // The worker keeps writing the histograms.
  const NotificationHistograms* histograms = nullptr;
};

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_COALESCING_REPORT_H_
