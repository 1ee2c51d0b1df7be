// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_COALESCE_PARAM_TABLE_H_
#define VDUSE_NET_COALESCE_PARAM_TABLE_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "coalesce/coalescer.h"

namespace coalesce {

// Always the driver's view: it receives on rx queues.
enum class Direction : uint8_t { kRx, kTx };

// Who said what a queue's parameters are.
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

// Which parameters every data virtqueue has, and why (virtio 1.3, 5.1.6.5.9).
// The last writer wins per queue. Virtqueue 2N receives on pair N, 2N + 1
// transmits. Policy only; one thread.
class ParamTable {
 public:
  struct Entry {
    Params params;  // if adaptive, the bounds that it keeps to
    Source source = Source::kOperator;
    bool enabled = false;
  };

  // All that the driver has set; what a successor of this process needs to
  // carry on.
  struct Snapshot {
    std::optional<Params> all_rx;
    std::optional<Params> all_tx;
    std::vector<Entry> queues;
  };

  // `rx` and `tx` are the operator's: in force until the driver asks, and
  // again after a reset.
  ParamTable(uint32_t queue_pairs, const Setting& rx, const Setting& tx);

  uint32_t queue_count() const {
    return static_cast<uint32_t>(entries_.size());
  }
  static Direction DirectionOf(uint32_t queue) {
    return queue % 2 == 0 ? Direction::kRx : Direction::kTx;
  }

  // The operator has another mind. Queues for which the driver has asked keep
  // to that.
  void SetOperator(Direction direction, const Setting& setting);
  const Setting& operator_setting(Direction direction) const {
    return direction == Direction::kRx ? operator_rx_ : operator_tx_;
  }

  // RX_SET and TX_SET: every queue of the direction.
  void SetAll(Direction direction, Params params);

  // VQ_SET. False, and no change, for anything but an enabled data queue.
  [[nodiscard]] bool SetQueue(uint32_t queue, Params params);

  // VQ_GET, under the same rule.
  std::optional<Params> Get(uint32_t queue) const;

  // A queue that comes back takes the value of the last RX_SET or TX_SET, or
  // the operator's if there was none.
  void SetEnabled(uint32_t queue, bool enabled);

  // Device reset: everything the driver set is gone, every queue disabled.
  void Reset();

  // `queue` must be below queue_count().
  const Entry& entry(uint32_t queue) const { return entries_[queue]; }

  // What a queue goes by. The same.
  Setting setting(uint32_t queue) const;

  Snapshot snapshot() const;

  // False, and no change, where the snapshot is of another shape. What the
  // operator has set is what this table was made with.
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
