// SPDX-License-Identifier: Apache-2.0
#include "net/device/queue_table.h"

#include <fmt/format.h>

#include <cassert>

#include "net/wire/features.h"

namespace net {
namespace {

// The data queues of a driver without MQ.
constexpr uint32_t kOnePair = 2;

}  // namespace

QueueTable::QueueTable(uint32_t queue_pairs, ControlQueue control)
    : max_data_queues_(2 * queue_pairs), data_queues_(kOnePair) {
  const bool present = control == ControlQueue::kPresent;
  if (present) control_ = max_data_queues_;
  slots_.resize(max_data_queues_ + (present ? 1 : 0));
}

void QueueTable::AssignRoles(uint64_t features) {
  data_queues_ = Has(features, kFeatureMq) ? max_data_queues_ : kOnePair;
  if (control_) control_ = data_queues_;
}

bool QueueTable::IsData(uint32_t index) const {
  return index < data_queues_ && !IsControl(index);
}

uint32_t QueueTable::control_group() const {
  return IsControl(max_data_queues_) ? kCtrlGroup : kDataGroup;
}

std::string QueueTable::QueueName(uint32_t index) const {
  if (IsControl(index)) return "control queue";
  return fmt::format(
      "{} queue {}",
      coalesce::DirectionName(coalesce::ParamTable::DirectionOf(index)), index);
}

void QueueTable::BeginDriver() {
  for (Slot& slot : slots_) slot.began.reset();
}

void QueueTable::EndDriver() {
  for (Slot& slot : slots_) slot.state = State::kDown;
  data_queues_ = kOnePair;
}

void QueueTable::SetRunning(uint32_t index, QueuePosition position) {
  slots_[index].state = State::kRunning;
  slots_[index].began = position;
}

QueuePosition QueueTable::StartPosition(uint32_t index,
                                        QueuePosition position) const {
  const Slot& slot = slots_[index];
  return slot.began == position ? slot.position : position;
}

std::vector<QueuePosition> QueueTable::positions() const {
  std::vector<QueuePosition> positions;
  positions.reserve(slots_.size());
  for (const Slot& slot : slots_) positions.push_back(slot.position);
  return positions;
}

void QueueTable::SetPositions(const std::vector<QueuePosition>& positions) {
  assert(positions.size() == slots_.size());
  for (uint32_t index = 0; index < size(); ++index) {
    SetPosition(index, positions[index]);
  }
}

}  // namespace net
