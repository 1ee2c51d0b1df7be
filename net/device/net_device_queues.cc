// SPDX-License-Identifier: Apache-2.0
//
// How virtqueues start and stop: all of them with their driver, and each one
// when it becomes ready or is taken away.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/status_text.h"
#include "net/device/net_device.h"
#include "net/wire/features.h"

namespace net {
namespace {

using base::LogLimited;
using base::Severity;
using coalesce::Direction;
using coalesce::ParamTable;

// Some VMMs enable queues a few milliseconds after DRIVER_OK, without a
// message, and some never enable all queues.
constexpr Time kFirstLook = std::chrono::milliseconds(1);
constexpr Time kLastLook = std::chrono::seconds(8);

// Whether an rx ring of mergeable buffers can hold the largest packet at any
// time. Linux posts buffers of 1536 bytes or more, and adds no new ones until
// more than 32, or half of the ring, are used up.
bool HoldsLargestPacket(uint32_t ring_size) {
  constexpr uint32_t kBufferBytes = 1536;
  const uint32_t posted = ring_size - std::min(ring_size, 64U) / 2;
  return uint64_t{posted} * kBufferBytes >= kHeaderBytes + kMaxFrameBytes;
}

}  // namespace

// A driver without MQ has one pair, however many the device has.
bool NetDevice::IsData(uint32_t queue) const {
  if (IsCtrl(queue)) return false;
  return queue < (Has(features_, kFeatureMq) ? 2 * options_.queue_pairs : 2);
}

// The groups of the queues are fixed when the device is made: only the last
// queue is in the control queue's group.
uint32_t NetDevice::CtrlGroup() const {
  return IsCtrl(2 * options_.queue_pairs) ? kCtrlGroup : kDataGroup;
}

void NetDevice::PlaceCtrlQueue() {
  if (!ctrl_index_) return;
  ctrl_index_ = Has(features_, kFeatureMq) ? 2 * options_.queue_pairs : 2;
  ctrl_map_.SetAsid(state_.asids[CtrlGroup()]);
}

std::string NetDevice::NameOf(uint32_t index) const {
  if (IsCtrl(index)) return "control queue";
  return fmt::format("{} queue {}", index % 2 == 0 ? "rx" : "tx", index);
}

void NetDevice::StartDriver(vduse::Virtqueue::Start start) {
  driver_ok_ = true;
  start_ = start;
  adopted_ = false;
  broken_ = false;
  begun_.assign(queues_.size(), std::nullopt);
  short_rx_ring_ = false;
  // Every reset drops the kick eventfds, so they are set again.
  for (uint32_t index = 0; index < queues_.size(); ++index) {
    int fd = -1;
    if (IsCtrl(index)) fd = ctrl_kick_.get();
    if (IsData(index)) {
      fd = worker_of(index).kick_fd(ParamTable::DirectionOf(index));
    }
    const absl::Status set = device_.SetKick(index, fd);
    if (!set.ok()) {
      LogLimited(queue_log_, Severity::kError, "{}", base::Text(set));
    }
  }
  port_drops_.Start();
  UsePairs();
  look_delay_ = kFirstLook;
  LookForReadyQueues(Now());
  UpdateLink();
  config_owed_ = false;  // nothing was owed to this driver before
  OweConfig();
  config_retry_ = Now() + kConfigRetry;
}

// Stops every running queue. With `settle`, pending and owed notifications are
// sent first, for a driver that will continue.
void NetDevice::StopDriver(std::optional<FlushCause> settle) {
  for (uint32_t index = 0; index < queues_.size(); ++index) {
    if (queues_[index] == QueueState::kRunning) StopQueue(index, settle);
  }
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->Call([](QueuePair& pair) { pair.Stop(); });
  }
  ctrl_map_.DropAll();
  std::fill(queues_.begin(), queues_.end(), QueueState::kDown);
  look_at_.reset();
  config_retry_.reset();
  config_owed_ = false;  // the next driver reads the space when it starts
  driver_ok_ = false;
  port_drops_.Stop();
  commands_only_ = false;
  FollowAnnounce(false);
  features_ = 0;
  adopted_ = false;
}

// Stops a running queue and saves its position. The worker reports the position
// and stops in one call: what it completed in between would be missing from the
// position.
void NetDevice::StopQueue(uint32_t index, std::optional<FlushCause> settle) {
  std::optional<uint16_t> position;
  if (IsCtrl(index)) {
    if (ctrl_) {
      if (settle) ctrl_->queue().Settle(*settle, Now());
      position = ctrl_->queue().ring().position();
    }
    ctrl_.reset();
    ctrl_again_ = false;
    ctrl_retry_.reset();
  } else {
    const Direction direction = ParamTable::DirectionOf(index);
    worker_of(index).Call([&](QueuePair& pair) {
      if (settle) pair.Settle(direction, *settle, Now());
      position = pair.Position(direction);
      pair.Stop(direction);
    });
  }
  if (position) state_.positions[index] = *position;
}

// Starts the queues that have become ready. Each queue's set-up is read once.
void NetDevice::LookForReadyQueues(Time now) {
  look_at_.reset();
  bool all_known = true;
  for (uint32_t index = 0; index < queues_.size(); ++index) {
    if (queues_[index] != QueueState::kDown) continue;
    // Not a queue of this driver.
    if (!IsCtrl(index) && !IsData(index)) continue;
    if (!IsCtrl(index) && commands_only_) continue;
    const absl::StatusOr<vduse::QueueInfo> info = device_.GetQueueInfo(index);
    if (!info.ok() || !info->ready) {
      // The position that the queue had under an earlier driver does not count.
      if (info.ok() && !begun_[index] &&
          start_ == vduse::Virtqueue::Start::kFresh && !restored_) {
        state_.positions[index] = info->avail_index;
      }
      all_known = false;
      continue;
    }
    const absl::Status started = StartQueue(index, *info);
    if (started.ok()) {
      queues_[index] = QueueState::kRunning;
      begun_[index] = info->avail_index;
      LogLimited(start_log_, Severity::kDebug, "{} started", NameOf(index));
      continue;
    }
    if (look_delay_ == kFirstLook || !absl::IsUnavailable(started)) {
      LogLimited(queue_log_, Severity::kError, "{} not started: {}{}",
                 NameOf(index), base::Text(started),
                 absl::IsUnavailable(started)
                     ? " (a VMM has to share its memory; QEMU: share=on)"
                     : "");
    }
    if (absl::IsUnavailable(started)) {
      all_known = false;
    } else {
      queues_[index] = QueueState::kRefused;
      if (IsData(index)) params_.SetEnabled(index, false);
    }
  }
  if (all_known || look_delay_ > kLastLook) return;
  look_at_ = now + look_delay_;
  look_delay_ *= 2;
}

absl::Status NetDevice::StartQueue(uint32_t index, vduse::QueueInfo info) {
  if (info.size > options_.max_queue_size) {
    return absl::InvalidArgumentError(fmt::format(
        "it has {} entries, and the device offers {}: give the VMM's device "
        "smaller queues, or this one larger ones (--queue-size)",
        info.size, options_.max_queue_size));
  }
  // A queue that was taken away and comes back continues where it stopped.
  const bool again = begun_[index].has_value();
  if (begun_[index] == info.avail_index) {
    info.avail_index = state_.positions[index];
  }
  // A VMM that moves a driver sets the positions of its queues. If they were
  // not set, they are read from the rings.
  const vduse::Virtqueue::Start start =
      restored_ && info.avail_index == 0 ? vduse::Virtqueue::Start::kRecovered
                                         : start_;
  // The driver may have missed the notification for the last completions.
  const bool owe =
      again || goes_on_ || start == vduse::Virtqueue::Start::kRecovered;
  if (IsCtrl(index)) {
    return StartCtrlQueue(info, start, owe);
  }
  absl::Status status;
  worker_of(index).Call([&](QueuePair& pair) {
    status = pair.Start(ParamTable::DirectionOf(index), info, features_, start,
                        params_.setting(index), Now());
    if (!status.ok()) return;
    pair.SetGuestOffloads(state_.guest_offloads);
    if (owe) pair.Owe(ParamTable::DirectionOf(index));
  });
  if (status.ok()) {
    params_.SetEnabled(index, true);
    NoteRxRing(index, info.size);
  }
  return status;
}

// A packet that the ring cannot hold would be dropped. So the port is not asked
// for such packets; it then segments what is larger than the MTU itself.
void NetDevice::NoteRxRing(uint32_t index, uint32_t size) {
  if (short_rx_ring_ || ParamTable::DirectionOf(index) != Direction::kRx ||
      !Has(features_, kFeatureMrgRxbuf) || HoldsLargestPacket(size)) {
    return;
  }
  short_rx_ring_ = true;
  if ((state_.guest_offloads & kGuestSegmentation) != 0 && life_log_.Allow()) {
    Log(Severity::kInfo,
        "{} has {} entries, too few for packets of 64 KiB: the TAP sends none "
        "larger than the MTU",
        NameOf(index), size);
  }
}

uint64_t NetDevice::port_offloads() const {
  return state_.guest_offloads & ~(short_rx_ring_ ? kGuestSegmentation : 0);
}

absl::Status NetDevice::StartCtrlQueue(const vduse::QueueInfo& info,
                                       vduse::Virtqueue::Start start,
                                       bool owe) {
  auto ring = vduse::Virtqueue::Create(
      info,
      {.event_idx = Has(features_, kFeatureEventIdx),
       .indirect = Has(features_, kFeatureIndirectDesc)},
      start, ctrl_map_);
  if (!ring.ok()) return ring.status();
  NotifiedQueue queue(device_, *ctrl_index_, std::move(*ring),
                      NotifiedQueue::kNoEarlyFlush);
  if (owe) queue.Owe();
  ctrl_ = std::make_unique<CtrlQueue>(std::move(queue), features_, *this);
  ctrl_again_ = true;  // look once: the driver may have kicked already
  return absl::OkStatus();
}

absl::StatusOr<uint16_t> NetDevice::OnQueueState(uint32_t index) {
  if (index >= queues_.size()) {
    return absl::OutOfRangeError(fmt::format("no virtqueue {}", index));
  }
  std::optional<uint16_t> position;
  if (IsCtrl(index)) {
    if (ctrl_) position = ctrl_->queue().ring().position();
  } else if (IsData(index)) {
    worker_of(index).Call([&](QueuePair& pair) {
      position = pair.Position(ParamTable::DirectionOf(index));
    });
  }
  return position.value_or(state_.positions[index]);
}

void NetDevice::OnQueueReady(uint32_t index, bool ready) {
  // At DRIVER_OK the device looks for ready queues.
  if (!driver_ok_ || index >= queues_.size()) return;
  if (ready) {
    if (queues_[index] != QueueState::kRunning) {
      queues_[index] = QueueState::kDown;
    }
    // The kernel reports the queue as ready only after this is answered.
    LookSoon();
    return;
  }
  // Stop before answering: nothing may be completed after the answer.
  if (IsCtrl(index) || IsData(index)) StopQueue(index, FlushCause::kStop);
  if (IsData(index)) {
    params_.SetEnabled(index, false);
    Persist();
  }
  queues_[index] = QueueState::kTaken;
}

// Drops what waits in the TAP: it arrived before a driver that begins now.
void NetDevice::DiscardQueued() {
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->Call([](QueuePair& pair) { pair.DiscardQueued(); });
  }
}

// Unused pairs do not receive. What is offered on their tx queues is still
// sent.
void NetDevice::UsePairs() {
  for (size_t pair = 0; pair < workers_.size(); ++pair) {
    const bool used = pair < state_.active_pairs;
    workers_[pair]->Call([&](QueuePair& p) { p.SetReceiving(used); });
  }
}

// Looks for queues that have become ready, as if DRIVER_OK had just come.
void NetDevice::LookSoon() {
  look_delay_ = kFirstLook;
  look_at_ = Now();
}

}  // namespace net
