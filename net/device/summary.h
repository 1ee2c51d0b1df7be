// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_SUMMARY_H_
#define VDUSE_NET_NET_DEVICE_SUMMARY_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "net/device/ctrl_queue.h"
#include "net/path/queue_pair.h"

namespace net {

// Appends lines for the log: the traffic of a pair, the notifications of one of
// its queues, or the work of the control queue.
void Summarize(size_t pair, const QueuePairCounters& counters,
               std::vector<std::string>& lines);
void Summarize(std::string_view queue, const NotificationHistograms& histograms,
               std::vector<std::string>& lines);
void Summarize(const CtrlQueue& ctrl, std::vector<std::string>& lines);

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_SUMMARY_H_
