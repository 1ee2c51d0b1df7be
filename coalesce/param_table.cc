// SPDX-License-Identifier: Apache-2.0
#include "coalesce/param_table.h"

namespace coalesce {

namespace {

bool OfDriver(Source source) {
  return source == Source::kDriverAll || source == Source::kDriverQueue;
}

}  // namespace

ParamTable::ParamTable(uint32_t queue_pairs, const Setting& rx,
                       const Setting& tx)
    : operator_rx_(rx), operator_tx_(tx), entries_(2UL * queue_pairs) {
  Reset();
}

ParamTable::Entry ParamTable::DefaultFor(uint32_t queue) const {
  const bool rx = DirectionOf(queue) == Direction::kRx;
  const std::optional<Params>& all = rx ? all_rx_ : all_tx_;
  if (all) return {.params = *all, .source = Source::kDriverAll};
  return OperatorsFor(queue);
}

ParamTable::Entry ParamTable::OperatorsFor(uint32_t queue) const {
  const Setting& setting = operator_setting(DirectionOf(queue));
  return {.params = setting.bound(),
          .source = setting.goal ? Source::kAdaptive : Source::kOperator};
}

Setting ParamTable::setting(uint32_t queue) const {
  const Entry& entry = entries_[queue];
  return OfDriver(entry.source) ? Setting(entry.params)
                                : operator_setting(DirectionOf(queue));
}

void ParamTable::SetOperator(Direction direction, const Setting& setting) {
  (direction == Direction::kRx ? operator_rx_ : operator_tx_) = setting;
  for (uint32_t queue = 0; queue < queue_count(); ++queue) {
    Entry& entry = entries_[queue];
    if (DirectionOf(queue) != direction || OfDriver(entry.source)) continue;
    const bool enabled = entry.enabled;
    entry = OperatorsFor(queue);
    entry.enabled = enabled;
  }
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
  Snapshot result{.all_rx = all_rx_, .all_tx = all_tx_, .queues = entries_};
  // The snapshot holds what the driver has set. Which setting the operator has
  // chosen is not part of it.
  for (Entry& entry : result.queues) {
    if (!OfDriver(entry.source)) entry.source = Source::kOperator;
  }
  return result;
}

bool ParamTable::Restore(const Snapshot& snapshot) {
  if (snapshot.queues.size() != entries_.size()) return false;
  all_rx_ = snapshot.all_rx;
  all_tx_ = snapshot.all_tx;
  for (uint32_t queue = 0; queue < queue_count(); ++queue) {
    const Entry& saved = snapshot.queues[queue];
    // The successor's operator settings apply, not the saved ones.
    entries_[queue] = OfDriver(saved.source) ? saved : OperatorsFor(queue);
    entries_[queue].enabled = saved.enabled;
  }
  return true;
}

}  // namespace coalesce
