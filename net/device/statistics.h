// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_STATISTICS_H_
#define VDUSE_NET_NET_DEVICE_STATISTICS_H_

#include <cstdint>
#include <vector>

#include "coalesce/param_table.h"
#include "net/device/coalescing_report.h"
#include "net/device/command_target.h"
#include "net/path/worker_pool.h"

namespace net {

// What the workers have counted since the process started, as the driver and
// the operator read it. On the control thread; each function waits for the
// current step of the workers that it asks.

// The statistics of a data queue. `tap_drops` are packets that the TAP has
// dropped because the queue did not take them: they count as overruns.
QueueStats ReadQueueStats(const WorkerPool& workers, uint32_t queue,
                          uint64_t tap_drops);

// How each data queue is coalesced, why, and with what result. `clock` says
// when its counters were read.
std::vector<CoalescingReport> ReportCoalescing(
    WorkerPool& workers, const coalesce::ParamTable& params, Clock clock);

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_STATISTICS_H_
