// SPDX-License-Identifier: Apache-2.0
#include "net/path/worker_pool.h"

#include <cassert>
#include <utility>

#include "coalesce/param_table.h"

namespace net {

using coalesce::ParamTable;

absl::StatusOr<WorkerPool> WorkerPool::Start(vduse::Device& device,
                                             uint32_t pairs,
                                             Worker::Options options,
                                             std::span<const int> cpus,
                                             std::span<Pulse> pulses,
                                             const StartRunner& start) {
  const std::span<uint8_t> journals = options.journal;
  assert(journals.empty() || journals.size() == pairs * PairJournal::kBytes);
  WorkerPool pool;
  for (uint32_t pair = 0; pair < pairs; ++pair) {
    options.pair = pair;
    if (!journals.empty()) {
      options.journal =
          journals.subspan(pair * PairJournal::kBytes, PairJournal::kBytes);
    }
    if (!cpus.empty()) options.cpu = cpus[pair % cpus.size()];
    options.pulse = pair < pulses.size() ? &pulses[pair] : nullptr;
    auto worker = start(device, options);
    if (!worker.ok()) return worker.status();
    pool.workers_.push_back(std::move(*worker));
  }
  return pool;
}

void WorkerPool::Call(uint32_t queue,
                      const std::function<void(QueuePair&)>& work) {
  worker_of(queue).Call(work);
}

void WorkerPool::CallAll(const std::function<void(QueuePair&)>& work) {
  for (const std::unique_ptr<PairRunner>& worker : workers_) worker->Call(work);
}

absl::Status WorkerPool::SetTap(std::vector<Tap> queues) {
  assert(queues.size() == workers_.size());
  absl::Status status;
  for (size_t pair = 0; pair < workers_.size(); ++pair) {
    status.Update(workers_[pair]->SetTap(std::move(queues[pair])));
  }
  return status;
}

void WorkerPool::SetActivePairs(uint16_t active) {
  for (size_t pair = 0; pair < workers_.size(); ++pair) {
    workers_[pair]->Call([receiving = pair < active](QueuePair& p) {
      p.rx().SetReceiving(receiving);
    });
  }
}

std::vector<std::string> WorkerPool::Faults() {
  std::vector<std::string> faults;
  CallAll([&](QueuePair& pair) {
    for (const Direction direction : {Direction::kRx, Direction::kTx}) {
      const std::string reason = pair.path(direction).broken_reason();
      if (reason.empty()) continue;
      faults.push_back(
          (direction == Direction::kRx ? "rx queue: " : "tx queue: ") + reason);
    }
    if (pair.port_lost()) faults.push_back("the TAP interface is gone");
  });
  return faults;
}

int WorkerPool::kick_fd(uint32_t queue) const {
  return worker_of(queue).kick_fd(ParamTable::DirectionOf(queue));
}

QueuePairCounters WorkerPool::counters(size_t pair) const {
  QueuePairCounters counters;
  workers_[pair]->Call([&](QueuePair& p) { counters = p.counters(); });
  return counters;
}

const NotificationHistograms& WorkerPool::histograms(uint32_t queue) const {
  return worker_of(queue).histograms(ParamTable::DirectionOf(queue));
}

}  // namespace net
