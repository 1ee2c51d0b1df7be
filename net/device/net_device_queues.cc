// SPDX-License-Identifier: Apache-2.0
//
// How a NetDevice's virtqueues start and stop: all with their driver, and each
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

// Some clients enable queues a few milliseconds after DRIVER_OK, without a
// word, and some never enable all.
constexpr Time kFirstLook = std::chrono::milliseconds(1);
constexpr Time kLastLook = std::chrono::seconds(8);

// Whether an rx ring of mergeable buffers can be relied upon for the largest
// packet. Linux posts buffers of 1536 bytes or more, and does not replace them
// before more than 32, or half of the ring, are used up.
bool HoldsLargestPacket(uint32_t ring_size) {
  constexpr uint32_t kBufferBytes = 1536;
  const uint32_t posted = ring_size - std::min(ring_size, 64U) / 2;
  return uint64_t{posted} * kBufferBytes >= kHeaderBytes + kMaxFrameBytes;
}

}  // namespace

// A driver without MQ has one pair, whatever the device has.
bool NetDevice::IsData(uint32_t queue) const {
  if (IsCtrl(queue)) return false;
  return queue < (Has(features_, kFeatureMq) ? 2 * options_.queue_pairs : 2);
}

// Which queue is in which group was said when the device was made: only the
// last one is in the control queue's.
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
  // Every reset drops the kick eventfds.
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
  config_owed_ = false;  // to nobody so far
  OweConfig();
  config_retry_ = Now() + kConfigRetry;
}

// Stops every queue that runs. Where the driver goes on, it is told what it is
// owed: `settle`.
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
  config_owed_ = false;  // the next driver reads the space at its start
  driver_ok_ = false;
  port_drops_.Stop();
  commands_only_ = false;
  FollowAnnounce(false);
  features_ = 0;
  adopted_ = false;
}

// Stops a queue that runs, and keeps its position. What the worker completed
// between its answer to where the queue is and its stopping would be missing
// from the position: it does both in one call.
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

// Starts what has become ready. Each queue's set-up is read once.
void NetDevice::LookForReadyQueues(Time now) {
  look_at_.reset();
  bool all_known = true;
  for (uint32_t index = 0; index < queues_.size(); ++index) {
    if (queues_[index] != QueueState::kDown) continue;
    if (!IsCtrl(index) && !IsData(index)) continue;  // nobody's
    if (!IsCtrl(index) && commands_only_) continue;
    const absl::StatusOr<vduse::QueueInfo> info = device_.GetQueueInfo(index);
    if (!info.ok() || !info->ready) {
      // What it had in another driver's life is of no account.
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
  // One that was taken away and comes back goes on where it stopped.
  const bool again = begun_[index].has_value();
  if (begun_[index] == info.avail_index) {
    info.avail_index = state_.positions[index];
  }
  // Whoever moves a driver brings its queues' positions along; where not,
  // they stand in the rings.
  const vduse::Virtqueue::Start start =
      restored_ && info.avail_index == 0 ? vduse::Virtqueue::Start::kRecovered
                                         : start_;
  // What it completed last it may not have notified of.
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

// A packet that the ring cannot hold would be dropped: the port is not asked
// for any, and segments what is larger than the MTU itself.
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
  ctrl_again_ = true;  // look once: a kick may have come before us
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
  if (!driver_ok_ || index >= queues_.size()) return;  // DRIVER_OK will look
  if (ready) {
    if (queues_[index] != QueueState::kRunning) {
      queues_[index] = QueueState::kDown;
    }
    // The kernel says so once this is answered.
    LookSoon();
    return;
  }
  // Before the answer, after which nothing is to come.
  if (IsCtrl(index) || IsData(index)) StopQueue(index, FlushCause::kStop);
  if (IsData(index)) {
    params_.SetEnabled(index, false);
    Persist();
  }
  queues_[index] = QueueState::kTaken;
}

// What waits in the TAP came before there was a driver, and is not for one
// that begins.
void NetDevice::DiscardQueued() {
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->Call([](QueuePair& pair) { pair.DiscardQueued(); });
  }
}

// Those that are not used do not receive. What their drivers still have to
// transmit goes out: it was offered before.
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
