// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/lifecycle.h"

#include <fmt/format.h>
#include <linux/virtio_config.h>

#include <algorithm>
#include <chrono>

namespace sim {
namespace {

using std::chrono::milliseconds;

constexpr uint8_t kAcknowledged =
    VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
constexpr uint8_t kFeaturesAccepted =
    kAcknowledged | VIRTIO_CONFIG_S_FEATURES_OK;
constexpr uint8_t kActive = kFeaturesAccepted | VIRTIO_CONFIG_S_DRIVER_OK;

// When the device notices at the latest that DRIVER_OK is in force, and that a
// queue is ready late.
constexpr Duration kInForceSoon = milliseconds(5);
constexpr Duration kLateReadySoon = milliseconds(30);
// What arrives so soon after DRIVER_OK may count as having come before.
constexpr Duration kDiscards = milliseconds(2);

}  // namespace

void Lifecycle::Plan() {
  if (busy()) return;
  if (!kernel_.driver_ok()) {
    PlanNewDriver();
    return;
  }
  switch (world_.Below(8)) {
    case 0:
      PlanNewDriver();
      return;
    case 1:
    case 2:
      PlanStop();
      return;
    case 3:
    case 4:
      queue_off_ = static_cast<uint32_t>(world_.Below(2 * settings_.pairs));
      plan_ = {Op::kLetCommandsEnd, Op::kQueueOff, Op::kQueueOn};
      return;
    default:
      plan_ = {Op::kUnmap};
  }
}

void Lifecycle::PlanNewDriver() {
  world_.Note("plan: new driver");
  binds_ = true;
  plan_ = {Op::kUnbind,   Op::kReset, Op::kAcknowledge, Op::kFeaturesOk,
           Op::kNewRings, Op::kSetUp, Op::kDriverOk,    Op::kRun};
}

// A VMM stops its guest, which later goes on, here or elsewhere.
void Lifecycle::PlanStop() {
  binds_ = false;
  const bool move = world_.OneIn(3);
  const bool suspend = move || world_.OneIn(2);
  world_.Note("plan: stop; suspend, move", suspend ? 1 : 0, move ? 1 : 0);
  plan_ = {Op::kPause};
  if (suspend) {
    for (const Op op : {Op::kSuspend, Op::kPositions}) plan_.push_back(op);
  }
  plan_.push_back(Op::kReset);
  // Older kernels cannot suspend, and the VMM reads the rings.
  if (!suspend) plan_.push_back(Op::kReadRings);
  if (move) plan_.push_back(Op::kMove);
  if (world_.OneIn(2)) plan_.push_back(Op::kUnmap);
  for (const Op op : {Op::kFeaturesOk, Op::kSetUp, Op::kDriverOk, Op::kRun}) {
    plan_.push_back(op);
  }
}

std::optional<Instant> Lifecycle::deadline() const {
  std::optional<Instant> first;
  for (const Late& late : late_) first = net::Earlier(first, late.at);
  return first;
}

void Lifecycle::Step() {
  MakeLateReady();
  if (plan_.empty()) return;
  if (asked_) {
    if (writer_dies_ && world_.OneIn(3)) {
      LoseDriverOk();
      return;
    }
    const auto response = kernel_.TakeReply(*asked_);
    if (!response) return;
    writer_dies_ = false;
    asked_.reset();
    const Op op = plan_.front();
    OnAnswer(op, *response);
    if (op == Op::kPositions && ++position_asked_ < driver_.queue_count()) {
      Begin(op);
      return;
    }
    plan_.pop_front();
    return;
  }
  if (plan_.front() == Op::kPositions) position_asked_ = 0;
  if (Begin(plan_.front())) plan_.pop_front();
}

void Lifecycle::AskStatus(uint8_t status) {
  vduse_dev_request request = {};
  request.type = VDUSE_SET_STATUS;
  request.s.status = status;
  asked_ = kernel_.Ask(request);
}

void Lifecycle::Ask(uint32_t type) {
  vduse_dev_request request = {};
  request.type = type;
  asked_ = kernel_.Ask(request);
}

bool Lifecycle::Begin(Op op) {
  switch (op) {
    case Op::kUnbind:
      // A driver that waits for an answer holds the lock that this needs.
      if (driver_.commands() != nullptr && driver_.commands()->busy()) {
        return false;
      }
      driver_.SetRuns(false);
      return true;
    case Op::kPause:
      driver_.SetRuns(false);
      return true;
    case Op::kRun:
      driver_.SetRuns(true);
      return true;
    case Op::kCommand:
      if (driver_.commands()->busy()) return false;
      driver_.commands()->SendUnknown();
      return true;
    case Op::kNewRings:
      driver_.Start();
      positions_.assign(driver_.queue_count(), settings_.base);
      return true;
    case Op::kSetUp:
      SetUpQueues();
      return true;
    case Op::kReadRings:
      for (uint32_t i = 0; i < positions_.size(); ++i) {
        positions_[i] = driver_.UsedIndex(i);
      }
      return true;
    case Op::kMove:
      return move_();
    case Op::kLetCommandsEnd:
      return driver_.commands() == nullptr || !driver_.commands()->busy();
    default:
      AskFor(op);
      return false;
  }
}

// Asks what the device has to answer.
void Lifecycle::AskFor(Op op) {
  switch (op) {
    case Op::kReset:
      served_since_.reset();
      late_.clear();
      AskStatus(0);
      break;
    case Op::kAcknowledge:
      AskStatus(kAcknowledged);
      break;
    case Op::kFeaturesOk:
      kernel_.SetFeatures(settings_.features);
      AskStatus(kFeaturesAccepted);
      break;
    case Op::kDriverOk:
      AskStatus(kActive);
      // The process that binds a driver may be killed; its driver goes on.
      writer_dies_ =
          binds_ && driver_.commands() != nullptr && world_.OneIn(12);
      break;
    case Op::kSuspend:
      served_since_.reset();
      Ask(vduse::kRequestSuspend);
      break;
    case Op::kPositions:
      Ask(VDUSE_GET_VQ_STATE,
          vduse_vq_state{.index = position_asked_, .split = {}});
      break;
    case Op::kQueueOff:
    case Op::kQueueOn:
      if (op == Op::kQueueOn &&
          driver_.UsedIndex(queue_off_) != used_when_off_) {
        world_.Fail("a queue that was taken away went on");
      }
      served_since_.reset();
      std::erase_if(late_,
                    [&](const Late& late) { return late.index == queue_off_; });
      Ask(vduse::kRequestSetQueueReady,
          vduse::RawQueueReady{.index = queue_off_,
                               .ready = op == Op::kQueueOn ? 1U : 0U});
      break;
    default:
      Ask(VDUSE_UPDATE_IOTLB,
          vduse::RawIovaRange{
              .start = 0, .last = UINT64_MAX, .asid = 0, .padding = 0});
      if (world_.OneIn(4)) kernel_.MoveMemoryAfter(*asked_);
  }
}

// Nobody waits for the answer to DRIVER_OK. It is not in force, and the device
// answers commands only.
void Lifecycle::LoseDriverOk() {
  writer_dies_ = false;
  if (!kernel_.Forget(*asked_)) return;
  world_.Note("the writer of DRIVER_OK dies");
  asked_.reset();
  for (const Late& late : late_) kernel_.SetReady(late.index);
  late_.clear();
  plan_ = {Op::kRun, Op::kCommand};
}

void Lifecycle::OnAnswer(Op op, const vduse_dev_response& response) {
  if (response.result != VDUSE_REQ_RESULT_OK) {
    world_.Fail(fmt::format("request refused in step {} of a plan",
                            static_cast<int>(op)));
    return;
  }
  if (op == Op::kReset || op == Op::kSuspend || op == Op::kQueueOff) {
    for (Wire& wire : wires_) wire.DropStaged();
  }
  if (op == Op::kQueueOff) used_when_off_ = driver_.UsedIndex(queue_off_);
  if (op == Op::kQueueOn) {
    served_since_ = world_.now() + kLateReadySoon;
    if (driver_.commands() != nullptr) {
      driver_.commands()->ReenableQueue(queue_off_);
    }
  }
  if (op == Op::kDriverOk) {
    served_since_ = world_.now() + kInForceSoon;
    for (const Late& late : late_) {
      served_since_ = std::max(*served_since_, late.at + kLateReadySoon);
    }
    ForgiveIfNew();
  }
  if (op != Op::kPositions) return;
  // Suspended, with nothing in flight: what is used is what was taken.
  const uint16_t position = response.vq_state.split.avail_index;
  positions_[position_asked_] = position;
  if (position == driver_.UsedIndex(position_asked_)) return;
  world_.Fail(fmt::format(
      "queue {} stands at {}, and says that it stands at "
      "{}",
      position_asked_, driver_.UsedIndex(position_asked_), position));
}

// The device drops what arrived before a new driver. It knows a driver that
// goes on by its positions.
void Lifecycle::ForgiveIfNew() {
  const bool fresh =
      std::all_of(positions_.begin(), positions_.end(), [&](uint16_t position) {
        return position == settings_.base || position == 0;
      });
  if (!fresh) return;
  for (Wire& wire : wires_) wire.Forgive(kDiscards);
}

void Lifecycle::SetUpQueues() {
  for (uint32_t i = 0; i < positions_.size(); ++i) {
    vduse::QueueInfo info = driver_.SetUpOf(i, positions_[i]);
    info.ready = !world_.OneIn(12);
    kernel_.SetUp(i, info);
    if (info.ready) continue;
    late_.push_back(
        {i, world_.now() + std::chrono::microseconds(world_.Below(8000))});
  }
}

// QEMU enables some queues after DRIVER_OK, and tells nobody.
void Lifecycle::MakeLateReady() {
  if (!kernel_.driver_ok()) return;
  std::erase_if(late_, [&](const Late& late) {
    if (world_.now() < late.at) return false;
    world_.Note("queue ready late", late.index);
    kernel_.SetReady(late.index);
    return true;
  });
}

}  // namespace sim
