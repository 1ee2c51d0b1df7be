// SPDX-License-Identifier: Apache-2.0
#include "net/path/queue_pair.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace net {
namespace {

constexpr Duration kFirstMapDelay = std::chrono::milliseconds(10);
constexpr Duration kLastMapDelay = std::chrono::seconds(1);

}  // namespace

QueuePair::QueuePair(vduse::Device& device, const Options& options)
    : map_(device),
      journal_(options.journal),
      step_(options.timer_poll),
      rx_({device, map_, port_, step_, journal_, options.mtu},
          2 * options.pair),
      tx_({device, map_, port_, step_, journal_, options.mtu},
          2 * options.pair + 1) {}

void QueuePair::SetPort(std::unique_ptr<PacketPort> port) {
  port_.Set(std::move(port));
  for (QueuePath* path : paths_) path->OnNewPort();
}

void QueuePair::Stop() {
  for (QueuePath* path : paths_) path->Stop();
  // Also of queues that have not started here.
  journal_.Clear(Direction::kRx);
  journal_.Clear(Direction::kTx);
  map_at_.reset();
  map_.DropAll();
}

void QueuePair::SetAsid(uint32_t asid) {
  InvalidateIova(0, UINT64_MAX);
  map_.SetAsid(asid);
}

void QueuePair::InvalidateIova(uint64_t first, uint64_t last) {
  map_.Drop(first, last);
  UnmapRings();
  map_at_.reset();
  map_delay_ = Duration::zero();
}

void QueuePair::UnmapRings() {
  for (QueuePath* path : paths_) path->UnmapRings();
}

Wait QueuePair::Step(Ready ready, Clock clock) {
  step_.Begin(clock, ready.polling);
  if (ready.port_gone) port_.Lose();
  if (map_.Trim()) UnmapRings();
  MapRings();
  for (QueuePath* path : paths_) path->OnReady(ready);
  // Transmitting first makes room in the driver's ring soonest.
  tx_.Run(clock);
  rx_.Run(clock);
  CheckMemory();
  step_.NotifyDue();

  Wait wait;
  wait.again = step_.again();
  wait.worked = step_.worked();
  wait.deadline = Earlier(map_at_, step_.NotifyDeadline());
  for (const QueuePath* path : paths_) path->AddWaits(wait);
  return wait;
}

// Maps rings whose translations were dropped. If some cannot be mapped, the
// intervals between attempts grow, because the driver may have no memory there.
void QueuePair::MapRings() {
  if (map_at_ && step_.now() < *map_at_) return;
  bool missing = false;
  for (QueuePath* path : paths_) {
    path->MapRings();
    missing = missing || path->unmapped();
  }
  if (missing) {
    map_delay_ = std::clamp(map_delay_ * 2, kFirstMapDelay, kLastMapDelay);
    map_at_ = step_.now() + map_delay_;
  } else {
    map_at_.reset();
    map_delay_ = Duration::zero();
  }
}

void QueuePair::CheckMemory() {
  const std::string fault = map_.TakeFault();
  if (fault.empty()) return;
  for (QueuePath* path : paths_) path->Break(fault);
}

}  // namespace net
