// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_WORKER_POOL_H_
#define VDUSE_NET_NET_PATH_WORKER_POOL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "net/path/pair_runner.h"
#include "net/path/pulse.h"
#include "net/path/queue_pair.h"
#include "net/path/tap.h"
#include "net/path/worker.h"
#include "vduse/device.h"

namespace net {

// The workers of a device, one for each queue pair. Virtqueue 2N receives on
// pair N, and virtqueue 2N + 1 transmits.
//
// On the control thread. Each worker has a thread of its own, which the pool
// reaches through Worker::Call(). So every method that calls a worker waits for
// its current step, and what it does is in force when it returns.
class WorkerPool {
 public:
  // Starts what runs a pair.
  using StartRunner = std::function<absl::StatusOr<std::unique_ptr<PairRunner>>(
      vduse::Device&, const Worker::Options&)>;

  // Starts `pairs` workers with `options`. Worker N runs on CPU N of `cpus`,
  // which are used in turn; with no `cpus`, on any CPU that the process may
  // use. Worker N shows its progress in `pulses`[N], if there are any; they
  // must outlive the pool. `options.journal` is that of all pairs, one behind
  // the other, or empty. `options.pair`, `options.cpu` and `options.pulse` are
  // not read. `device` must outlive the pool.
  static absl::StatusOr<WorkerPool> Start(
      vduse::Device& device, uint32_t pairs, Worker::Options options,
      std::span<const int> cpus, std::span<Pulse> pulses = {},
      const StartRunner& start = Worker::Start);
  // The number of pairs.
  size_t size() const { return workers_.size(); }

  // Runs `work` on the worker of virtqueue `queue`, or on each worker in turn.
  void Call(uint32_t queue, const std::function<void(QueuePair&)>& work);
  void CallAll(const std::function<void(QueuePair&)>& work);

  // Gives each pair its queue of a TAP. There must be size() queues.
  absl::Status SetTap(std::vector<Tap> queues);

  // Pairs from `active` on do not receive.
  void SetActivePairs(uint16_t active);

  // Why queues are not served: a line for each queue that has latched and for
  // each pair that has lost its port.
  std::vector<std::string> Faults();

  // The eventfd for the driver's kicks of virtqueue `queue`. Calls no worker.
  int kick_fd(uint32_t queue) const;

  QueuePairCounters counters(size_t pair) const;
  // Calls no worker, and the worker keeps writing.
  const NotificationHistograms& histograms(uint32_t queue) const;

 private:
  WorkerPool() = default;

  PairRunner& worker_of(uint32_t queue) const { return *workers_[queue / 2]; }

  std::vector<std::unique_ptr<PairRunner>> workers_;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_WORKER_POOL_H_
