// SPDX-License-Identifier: Apache-2.0
#include "coalesce/param_table.h"

namespace coalesce {

ParamTable::ParamTable(uint32_t queue_pairs, Params rx, Params tx)
    : operator_rx_(rx), operator_tx_(tx), entries_(2UL * queue_pairs) {
  Reset();
}

ParamTable::Entry ParamTable::DefaultFor(uint32_t queue) const {
  const bool rx = DirectionOf(queue) == Direction::kRx;
  const std::optional<Params>& all = rx ? all_rx_ : all_tx_;
  if (all) return {.params = *all, .source = Source::kDriverAll};
  return {.params = OperatorParams(queue), .source = Source::kOperator};
}

Params ParamTable::OperatorParams(uint32_t queue) const {
  return DirectionOf(queue) == Direction::kRx ? operator_rx_ : operator_tx_;
}

void ParamTable::SetAll(Direction direction, Params params) {
  (direction == Direction::kRx ? all_rx_ : all_tx_) = params;
  for (uint32_t queue = 0; queue < queue_count(); ++queue) {
    if (DirectionOf(queue) != direction) continue;
    entries_[queue].params = params;
    entries_[queue].source = Source::kDriverAll;
  }
}

bool ParamTable::SetQueue(uint32_t queue, Params params) {
  if (queue >= queue_count() || !entries_[queue].enabled) return false;
  entries_[queue].params = params;
  entries_[queue].source = Source::kDriverQueue;
  return true;
}

std::optional<Params> ParamTable::Get(uint32_t queue) const {
  if (queue >= queue_count() || !entries_[queue].enabled) return std::nullopt;
  return entries_[queue].params;
}

void ParamTable::SetEnabled(uint32_t queue, bool enabled) {
  if (queue >= queue_count() || entries_[queue].enabled == enabled) return;
  entries_[queue] = DefaultFor(queue);
  entries_[queue].enabled = enabled;
}

void ParamTable::Reset() {
  all_rx_.reset();
  all_tx_.reset();
  for (uint32_t queue = 0; queue < queue_count(); ++queue) {
    entries_[queue] = DefaultFor(queue);
  }
}

ParamTable::Snapshot ParamTable::snapshot() const {
  return {.all_rx = all_rx_, .all_tx = all_tx_, .queues = entries_};
}

bool ParamTable::Restore(const Snapshot& snapshot) {
  if (snapshot.queues.size() != entries_.size()) return false;
  all_rx_ = snapshot.all_rx;
  all_tx_ = snapshot.all_tx;
  for (uint32_t queue = 0; queue < queue_count(); ++queue) {
    const Entry& saved = snapshot.queues[queue];
    // The operator's values are the ones given now.
    if (saved.source != Source::kOperator) {
      entries_[queue] = saved;
    } else {
      entries_[queue] = {.params = OperatorParams(queue),
                         .source = Source::kOperator,
                         .enabled = saved.enabled};
    }
  }
  return true;
}

}  // namespace coalesce
