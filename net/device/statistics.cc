// SPDX-License-Identifier: Apache-2.0
#include "net/device/statistics.h"

namespace net {

using coalesce::ParamTable;

QueueStats ReadQueueStats(const WorkerPool& workers, uint32_t queue,
                          uint64_t tap_drops) {
  const QueuePairCounters c = workers.counters(queue / 2);
  if (ParamTable::DirectionOf(queue) == Direction::kRx) {
    const uint64_t overruns = c.rx_too_large + c.rx_overruns + tap_drops;
    return QueueStats{.kicks = c.rx_kicks,
                      .packets = c.rx_packets,
                      .bytes = c.rx_bytes,
                      .notifications = c.rx_queue.notifications,
                      .drops = c.rx_bad_packet + c.rx_refused + c.rx_filtered +
                               c.rx_over_mtu + c.rx_stale + overruns,
                      .driver_drops = overruns};
  }
  const uint64_t malformed = c.tx_bad_chain + c.tx_bad_header + c.tx_bad_length;
  return QueueStats{.kicks = c.tx_kicks,
                    .packets = c.tx_packets,
                    .bytes = c.tx_bytes,
                    .notifications = c.tx_queue.notifications,
                    .drops = malformed + c.tx_port_drops + c.tx_port_refused,
                    .driver_drops = malformed};
}

std::vector<CoalescingReport> ReportCoalescing(WorkerPool& workers,
                                               const ParamTable& params) {
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
      report.counters = rx ? counters.rx_queue : counters.tx_queue;
      report.read_at = Now();
      const NotifiedQueue* running = pair.queue(direction);
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
