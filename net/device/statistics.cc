// SPDX-License-Identifier: Apache-2.0
//
// What the operator can change and read while the device runs.
#include <fmt/format.h>

#include "net/device/net_device.h"

namespace net {

using base::Log;
using base::Severity;
using coalesce::Direction;
using coalesce::ParamTable;
using coalesce::Setting;

namespace {

std::string Text(const Setting& setting) {
  if (!setting.goal) {
    return fmt::format("usecs={} packets={}", setting.params.max_usecs,
                       setting.params.max_packets);
  }
  return setting.goal->kind == coalesce::Goal::Kind::kTargetLatency
             ? fmt::format("adaptive, target latency {} us",
                           setting.goal->value)
             : fmt::format("adaptive, at most {} notifications/s",
                           setting.goal->value);
}

}  // namespace

void NetDevice::SetOperatorCoalescing(Direction direction,
                                      const Setting& setting) {
  params_.SetOperator(direction, setting);
  for (uint32_t queue = 0; queue < params_.queue_count(); ++queue) {
    if (ParamTable::DirectionOf(queue) == direction) ApplyParams(queue);
  }
  Log(Severity::kInfo, "operator: {} {}",
      direction == Direction::kRx ? "rx" : "tx", Text(setting));
}

std::vector<CoalescingReport> NetDevice::ReportCoalescing() {
  std::vector<CoalescingReport> reports;
  for (uint32_t queue = 0; queue < params_.queue_count(); ++queue) {
    const Direction direction = ParamTable::DirectionOf(queue);
    const bool rx = direction == Direction::kRx;
    CoalescingReport report;
    report.queue = queue;
    report.direction = direction;
    report.requested = params_.entry(queue);
    report.goal = params_.setting(queue).goal;
    worker_of(queue).Call([&](QueuePair& pair) {
      const QueuePairCounters counters = pair.counters();
      report.counters = rx ? counters.rx_queue : counters.tx_queue;
      report.read_at = Now();
      const NotifiedQueue* running = pair.queue(direction);
      if (running == nullptr) return;
      report.effective = running->effective_params();
      report.waiting = running->waits();
    });
    report.histograms = &worker_of(queue).histograms(direction);
    reports.push_back(report);
  }
  return reports;
}

}  // namespace net
