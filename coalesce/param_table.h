// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_COALESCE_PARAM_TABLE_H_
#define VDUSE_NET_COALESCE_PARAM_TABLE_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "coalesce/coalescer.h"

namespace coalesce {

// The direction from the driver's view: the driver receives on rx queues.
enum class Direction : uint8_t { kRx, kTx };
constexpr const char* DirectionName(Direction direction) {
  return direction == Direction::kRx ? "rx" : "tx";
}

// Who set a queue's parameters.
enum class Source : uint8_t { kOperator, kDriverAll, kDriverQueue, kAdaptive };
inline std::string_view SourceName(Source source) {
  switch (source) {
    case Source::kOperator:
      return "operator";
    case Source::kDriverAll:
      return "driver, all queues";
    case Source::kDriverQueue:
      return "driver, this queue";
    case Source::kAdaptive:
      return "adaptive, as the operator said";
  }
  return "";
}

// The parameters of every data virtqueue, and who set them (virtio 1.3,
// 5.1.6.5.9). The last writer wins, per queue. Virtqueue 2N receives on pair N,
// and virtqueue 2N + 1 transmits. Policy only; one thread.
class ParamTable {
 public:
  struct Entry {
    Params params;  // for an adaptive queue, the bounds it keeps to
    Source source = Source::kOperator;
    bool enabled = false;
  };

  // Everything the driver has set; a successor of this process needs it to
  // carry on.
  struct Snapshot {
    std::optional<Params> all_rx;
    std::optional<Params> all_tx;
    std::vector<Entry> queues;
  };

  // `rx` and `tx` are the operator's settings. They apply until the driver sets
  // its own, and again after a reset.
  ParamTable(uint32_t queue_pairs, const Setting& rx, const Setting& tx);

  uint32_t queue_count() const {
    return static_cast<uint32_t>(entries_.size());
  }
  static Direction DirectionOf(uint32_t queue) {
    return queue % 2 == 0 ? Direction::kRx : Direction::kTx;
  }

  // Replaces the operator's setting. Queues whose parameters the driver has set
  // keep them.
  void SetOperator(Direction direction, const Setting& setting);
  const Setting& operator_setting(Direction direction) const {
    return direction == Direction::kRx ? operator_rx_ : operator_tx_;
  }

  // RX_SET and TX_SET: sets every queue of the direction.
  void SetAll(Direction direction, Params params);

  // VQ_SET. Returns false, without a change, unless `queue` is an enabled data
  // queue.
  [[nodiscard]] bool SetQueue(uint32_t queue, Params params);

  // VQ_GET. Returns nothing unless `queue` is an enabled data queue.
  std::optional<Params> Get(uint32_t queue) const;

  // Enables or disables a queue. If that changes its state, the queue gets the
  // parameters of the last RX_SET or TX_SET. If there was none, it gets the
  // operator's.
  void SetEnabled(uint32_t queue, bool enabled);

  // Device reset: drops everything the driver has set and disables every queue.
  void Reset();

  // `queue` must be below queue_count().
  const Entry& entry(uint32_t queue) const { return entries_[queue]; }

  // The setting that a queue uses. `queue` must be below queue_count().
  Setting setting(uint32_t queue) const;

  Snapshot snapshot() const;

  // Returns false, without a change, if the snapshot has another number of
  // queues. The operator's settings stay those of this table.
  [[nodiscard]] bool Restore(const Snapshot& snapshot);

 private:
  Entry DefaultFor(uint32_t queue) const;
  Entry OperatorsFor(uint32_t queue) const;

  Setting operator_rx_;
  Setting operator_tx_;
  std::optional<Params> all_rx_;
  std::optional<Params> all_tx_;
  std::vector<Entry> entries_;
};

}  // namespace coalesce

#endif  // VDUSE_NET_COALESCE_PARAM_TABLE_H_
