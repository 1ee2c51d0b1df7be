// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_STEP_CONTEXT_H_
#define VDUSE_NET_NET_PATH_STEP_CONTEXT_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"
#include "coalesce/param_table.h"
#include "net/path/notified_queue.h"

namespace net {

// Returns the current time.
using Clock = absl::FunctionRef<Instant()>;

// Why Step() was called. The reports may be wrong: the port may not be readable
// or writable, and there may have been no kick.
struct Ready {
  bool port_readable = false;
  bool port_writable = false;
  bool port_gone = false;  // its interface was deleted
  bool rx_kick = false;
  bool tx_kick = false;
  // The worker busy-polls: it calls Step() again at once, so Step() asks for no
  // kicks.
  bool polling = false;
};

// What to wait for before the next Step().
struct Wait {
  bool port_readable = false;
  bool port_writable = false;
  bool again = false;   // do not wait: budget used up, or polling
  bool worked = false;  // the step found work
  std::optional<Instant> deadline;
};

// What the two paths of a queue pair share within a step: the clock, the
// notifications of both queues that become due meanwhile, and what the step has
// to report. One thread.
class StepContext {
 public:
  // Large packets take time, so the clock is read after a batch once this many
  // bytes have been moved. A batch of packets of an Ethernet MTU is smaller.
  static constexpr uint64_t kLookBytes = 48 << 10;
  // Expected time per packet with timer_poll, the port's part included. A batch
  // has no more packets than can be moved before the next deadline. Large
  // packets take longer.
  static constexpr Duration kPacketTime = std::chrono::microseconds(2);
  // The lowest limit on the size of a batch while no deadline runs. Without
  // it, a delay shorter than the time of a few packets would make batches of
  // one packet, each with a notification: more than without coalescing.
  static constexpr int64_t kFewest = 4;

  // With `timer_poll`, notification deadlines are met to within a few
  // microseconds even while small packets are moved. A step then does less at
  // once.
  explicit StepContext(bool timer_poll) : timer_poll_(timer_poll) {}
  StepContext(const StepContext&) = delete;
  StepContext& operator=(const StepContext&) = delete;

  // Names a queue that runs, or null for one that has stopped. Between steps.
  void SetQueue(coalesce::Direction direction, NotifiedQueue* queue) {
    queues_[static_cast<size_t>(direction)] = queue;
  }

  void Begin(Clock clock, bool polling);

  Instant now() const { return now_; }
  bool polling() const { return polling_; }

  void CountBytes(uint64_t bytes) { bytes_since_look_ += bytes; }
  void SetWorked() { worked_ = true; }
  // Asks for another step at once.
  void SetAgain() { again_ = true; }
  bool worked() const { return worked_; }
  bool again() const { return again_; }

  // Reads the clock if some time may have passed, and sends the notifications
  // that are due by then. Call it after each batch.
  void Look(Clock clock);

  // The most packets that the next batch may have. While no deadline runs, the
  // batch may start one.
  size_t BatchLimit() const;

  // When the next notification is due.
  std::optional<Instant> NotifyDeadline() const;
  void NotifyDue();

 private:
  const bool timer_poll_;
  std::array<NotifiedQueue*, 2> queues_{};  // by direction
  Instant now_{};                           // the clock when last read
  uint64_t bytes_since_look_ = 0;
  bool polling_ = false;
  bool worked_ = false;
  bool again_ = false;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_STEP_CONTEXT_H_
