// SPDX-License-Identifier: Apache-2.0
//
// How virtqueues start and stop: each one when it becomes ready or is taken
// away.
#include <fmt/format.h>

#include <algorithm>

#include "base/status_text.h"
#include "net/device/net_device.h"
#include "net/wire/features.h"

namespace net {
namespace {

using base::LogLimited;
using base::Severity;
using coalesce::ParamTable;
using State = QueueTable::State;

// Some VMMs enable queues a few milliseconds after DRIVER_OK, without a
// message, and some never enable all queues.
constexpr Duration kFirstLook = std::chrono::milliseconds(1);
constexpr Duration kLastLook = std::chrono::seconds(8);

// Whether an rx ring of mergeable buffers can hold the largest packet at any
// time. Linux posts buffers of 1536 bytes or more, and adds no new ones until
// more than 32, or half of the ring, are used up.
bool HoldsLargestPacket(uint32_t ring_size) {
  constexpr uint32_t kBufferBytes = 1536;
  const uint32_t posted = ring_size - std::min(ring_size, 64U) / 2;
  return uint64_t{posted} * kBufferBytes >= kHeaderBytes + kMaxFrameBytes;
}

}  // namespace

// Stops a running queue and saves its position. The worker reports the position
// and stops in one call: what it completed in between would be missing from the
// position.
void NetDevice::StopQueue(uint32_t index, std::optional<FlushCause> settle) {
  std::optional<QueuePosition> position;
  if (queues_.IsControl(index)) {
    position = ctrl_.Stop(settle, options_.clock());
  } else {
    const Direction direction = ParamTable::DirectionOf(index);
    workers_.Call(index, [&](QueuePair& pair) {
      if (settle) pair.path(direction).Settle(*settle, options_.clock());
      position = pair.path(direction).position();
      pair.path(direction).Stop();
    });
  }
  if (position) queues_.SetPosition(index, *position);
}

// Looks for queues that have become ready, as if DRIVER_OK had just come.
void NetDevice::LookForQueuesSoon() {
  look_delay_ = kFirstLook;
  look_at_ = options_.clock();
}

// Starts the queues that have become ready. Each queue's set-up is read once.
void NetDevice::LookForReadyQueues(Instant now) {
  look_at_.reset();
  bool all_known = true;
  for (uint32_t index = 0; index < queues_.size(); ++index) {
    if (queues_.state(index) != State::kDown) continue;
    const bool control = queues_.IsControl(index);
    // Not a queue of this driver.
    if (!control && !queues_.IsData(index)) continue;
    if (!control && (session_.commands_only() || caretaker_)) continue;
    const absl::StatusOr<vduse::QueueInfo> info = device_.GetQueueInfo(index);
    if (info.ok() && info->ready) {
      if (!TryStart(index, *info)) all_known = false;
      continue;
    }
    // The position that the queue had under an earlier driver does not count.
    if (info.ok() && !queues_.HasRun(index) &&
        session_.kernel_has_positions() &&
        info->position != queues_.position(index)) {
      queues_.SetPosition(index, info->position);
      settings_.Persist();  // a successor cannot tell whether the queue has run
    }
    all_known = false;
  }
  if (all_known || look_delay_ > kLastLook) return;
  look_at_ = now + look_delay_;
  look_delay_ *= 2;
}

// Starts a queue that is ready, or refuses it. Returns false if its memory
// cannot be reached yet: then try again later.
bool NetDevice::TryStart(uint32_t index, const vduse::QueueInfo& info) {
  const absl::Status started = StartQueue(index, info);
  if (started.ok()) {
    queues_.SetRunning(index, info.position);
    LogLimited(start_log_, Severity::kDebug, "{} started",
               queues_.QueueName(index));
    return true;
  }
  const bool unreachable = absl::IsUnavailable(started);
  if (look_delay_ == kFirstLook || !unreachable) {
    LogLimited(
        queue_log_, Severity::kError, "{} not started: {}{}",
        queues_.QueueName(index), base::Text(started),
        unreachable ? " (a VMM has to share its memory; QEMU: share=on)" : "");
  }
  if (unreachable) return false;
  queues_.SetState(index, State::kRefused);
  if (queues_.IsData(index)) settings_.params().SetEnabled(index, false);
  return true;
}

absl::Status NetDevice::StartQueue(uint32_t index, vduse::QueueInfo info) {
  if (info.size > options_.max_queue_size) {
    return absl::InvalidArgumentError(fmt::format(
        "it has {} entries, and the device offers {}: give the VMM's device "
        "smaller queues, or this one larger ones (--queue-size)",
        info.size, options_.max_queue_size));
  }
  info.position = queues_.StartPosition(index, info.position);
  const vduse::Virtqueue::Start start = session_.StartOf(info.position);
  // The driver may have missed the notification for the last completions.
  const bool notify_once =
      queues_.HasRun(index) || session_.may_have_missed_notifications();
  if (queues_.IsControl(index)) {
    return ctrl_.Start(info, {.index = index,
                              .features = session_.features(),
                              .start = start,
                              .notify_once = notify_once});
  }
  const Direction direction = ParamTable::DirectionOf(index);
  absl::Status status;
  workers_.Call(index, [&](QueuePair& pair) {
    status = pair.path(direction).Start(info, session_.features(), start,
                                        settings_.params().setting(index),
                                        options_.clock());
    if (!status.ok()) return;
    pair.rx().SetGuestOffloads(settings_.guest_offloads());
    if (notify_once) pair.path(direction).Owe();
  });
  if (status.ok()) {
    settings_.params().SetEnabled(index, true);
    CheckRxRingSize(index, info.size);
  }
  return status;
}

// A packet that the ring cannot hold would be dropped. So the port is not asked
// for such packets; it then segments what is larger than the MTU itself.
void NetDevice::CheckRxRingSize(uint32_t index, uint32_t size) {
  if (short_rx_ring_ || ParamTable::DirectionOf(index) != Direction::kRx ||
      !Has(session_.features(), kFeatureMrgRxbuf) || HoldsLargestPacket(size)) {
    return;
  }
  short_rx_ring_ = true;
  if ((guest_offloads() & kGuestSegmentation) != 0 && life_log_.Allow()) {
    Log(Severity::kInfo,
        "{} has {} entries, too few for packets of 64 KiB: the TAP sends none "
        "larger than the MTU",
        queues_.QueueName(index), size);
  }
}

absl::StatusOr<QueuePosition> NetDevice::OnQueueState(uint32_t index) {
  if (index >= queues_.size()) {
    return absl::OutOfRangeError(fmt::format("no virtqueue {}", index));
  }
  std::optional<QueuePosition> position;
  if (const CtrlQueue* ctrl = ctrl_.queue();
      ctrl != nullptr && queues_.IsControl(index)) {
    position = ctrl->queue().ring().position();
  } else if (queues_.IsData(index)) {
    workers_.Call(index, [&](QueuePair& pair) {
      position = pair.path(ParamTable::DirectionOf(index)).position();
    });
  }
  return position.value_or(queues_.position(index));
}

void NetDevice::OnQueueReady(uint32_t index, bool ready) {
  // At DRIVER_OK the device looks for ready queues.
  if (!session_.served() || index >= queues_.size()) return;
  if (ready) {
    if (!queues_.IsRunning(index)) queues_.SetState(index, State::kDown);
    // The kernel reports the queue as ready only after this is answered.
    LookForQueuesSoon();
    return;
  }
  // Stop before answering: nothing may be completed after the answer.
  if (queues_.IsControl(index) || queues_.IsData(index)) {
    StopQueue(index, FlushCause::kStop);
  }
  if (queues_.IsData(index)) {
    settings_.params().SetEnabled(index, false);
    settings_.Persist();
  }
  queues_.SetState(index, State::kTaken);
}

}  // namespace net
