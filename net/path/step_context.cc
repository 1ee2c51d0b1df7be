// SPDX-License-Identifier: Apache-2.0
#include "net/path/step_context.h"

#include <algorithm>

#include "net/path/packet_port.h"

namespace net {

void StepContext::Begin(Clock clock, bool polling) {
  now_ = clock();
  bytes_since_look_ = 0;
  polling_ = polling;
  again_ = polling;
  worked_ = false;
}

void StepContext::Look(Clock clock) {
  const bool must = timer_poll_ && NotifyDeadline();
  if (bytes_since_look_ < kLookBytes && !must) return;
  bytes_since_look_ = 0;
  now_ = clock();
  NotifyDue();
}

size_t StepContext::BatchLimit() const {
  if (!timer_poll_) return kMaxBatch;
  Duration left = Duration::max();
  int64_t fewest = 1;
  if (const std::optional<Instant> deadline = NotifyDeadline()) {
    left = *deadline - now_;
  } else {
    fewest = kFewest;
    for (const NotifiedQueue* queue : queues_) {
      if (queue == nullptr) continue;
      const Duration delay =
          std::chrono::microseconds(queue->effective_params().max_usecs);
      if (delay > Duration::zero()) left = std::min(left, delay);
    }
  }
  return static_cast<size_t>(
      std::clamp<int64_t>(left / kPacketTime, fewest, kMaxBatch));
}

std::optional<Instant> StepContext::NotifyDeadline() const {
  std::optional<Instant> deadline;
  for (const NotifiedQueue* queue : queues_) {
    if (queue != nullptr) deadline = Earlier(deadline, queue->deadline());
  }
  return deadline;
}

void StepContext::NotifyDue() {
  for (NotifiedQueue* queue : queues_) {
    if (queue != nullptr) queue->OnTimer(now_);
  }
}

}  // namespace net
