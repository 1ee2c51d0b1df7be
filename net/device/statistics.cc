// SPDX-License-Identifier: Apache-2.0
#include "net/device/statistics.h"

namespace net {

using coalesce::ParamTable;

QueueStats ReadQueueStats(const WorkerPool& workers, uint32_t queue,
                          uint64_t tap_drops) {
  const QueuePairCounters c = workers.counters(queue / 2);
  if (ParamTable::DirectionOf(queue) == Direction::kRx) {
    const uint64_t overruns = c.rx.too_large + c.rx.overruns + tap_drops;
    return QueueStats{.kicks = c.rx.kicks,
                      .packets = c.rx.packets,
                      .bytes = c.rx.bytes,
                      .notifications = c.rx.queue.notifications,
                      .drops = c.rx.bad_packet + c.rx.refused + c.rx.filtered +
                               c.rx.over_mtu + c.rx.stale + overruns,
                      .driver_drops = overruns};
  }
  const uint64_t malformed = c.tx.bad_chain + c.tx.bad_header + c.tx.bad_length;
  return QueueStats{.kicks = c.tx.kicks,
                    .packets = c.tx.packets,
                    .bytes = c.tx.bytes,
                    .notifications = c.tx.queue.notifications,
                    .drops = malformed + c.tx.port_drops + c.tx.port_refused,
                    .driver_drops = malformed};
}

std::vector<CoalescingReport> ReportCoalescing(WorkerPool& workers,
                                               const ParamTable& params,
                                               Clock clock) {
  std::vector<CoalescingReport> reports;
  for (uint32_t queue = 0; queue < params.queue_count(); ++queue) {
    const Direction direction = ParamTable::DirectionOf(queue);
    const bool rx = direction == Direction::kRx;
    CoalescingReport report;
    report.queue = queue;
    report.direction = direction;
    report.requested = params.entry(queue);
    report.goal = params.setting(queue).goal;
    workers.Call(queue, [&](QueuePair& pair) {
      const QueuePairCounters counters = pair.counters();
      report.counters = rx ? counters.rx.queue : counters.tx.queue;
      report.read_at = clock();
      const NotifiedQueue* running = pair.path(direction).queue();
      if (running == nullptr) return;
      report.effective = running->effective_params();
      report.waiting = running->waits();
    });
    report.histograms = &workers.histograms(queue);
    reports.push_back(report);
  }
  return reports;
}

}  // namespace net
