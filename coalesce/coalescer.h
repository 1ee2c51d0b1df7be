// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_COALESCE_COALESCER_H_
#define VDUSE_NET_COALESCE_COALESCER_H_

#include <chrono>
#include <cstdint>
#include <optional>

namespace coalesce {

// A reading of a monotonic clock; only differences count.
using Time = std::chrono::nanoseconds;

// Coalescing parameters of one virtqueue, as the driver sends them
// (virtio 1.3, 5.1.6.5.9, struct virtio_net_ctrl_coal).
struct Params {
  uint32_t max_packets = 0;
  uint32_t max_usecs = 0;

  friend bool operator==(const Params&, const Params&) = default;
};

// Decides when the notification for completed packets is due (virtio 1.3,
// 5.1.6.5.9.1): max_packets after the last one, or max_usecs after the first
// packet since then, whichever comes first; after every packet while either
// value is 0.
//
// Policy only: no clock, no I/O, no threads. A call that returns true asks
// for a notification now; counter and timer have then started anew, whether
// or not the driver turns out to want it.
class Coalescer {
 public:
  // No completion waits longer than this, whatever the driver asked for.
  static constexpr std::chrono::microseconds kMaxDelay =
      std::chrono::seconds(1);

  // `max_pending` (at least 1) bounds the packets that may wait: beyond the
  // queue size a driver could wait for a notification that waits for it.
  explicit Coalescer(uint32_t max_pending) : max_pending_(max_pending) {}

  // `packets` more were completed at `now`.
  [[nodiscard]] bool OnCompleted(uint32_t packets, Time now);

  // The deadline may have come. Calling early, late or often is harmless.
  [[nodiscard]] bool OnTimer(Time now);

  // New parameters rule at once, also over what is pending.
  [[nodiscard]] bool SetParams(Params params, Time now);

  // Waiting makes no sense any more: the queue stops or has run dry.
  [[nodiscard]] bool Drain();

  // Forgets what is pending: after a reset nobody is to be notified.
  void Cancel();

  // What the last call that returned true was about.
  struct Batch {
    uint32_t packets = 0;
    Time first{};                  // when the first of them was completed
    std::optional<Time> deadline;  // if they had to wait
  };
  const Batch& flushed() const { return flushed_; }

  // When OnTimer() is to be called; nothing while nothing is pending.
  std::optional<Time> deadline() const { return deadline_; }

  Params params() const { return params_; }
  uint32_t pending() const { return pending_; }

 private:
  bool CheckDue(Time now);
  void Flush();

  uint32_t max_pending_;
  Params params_;
  uint32_t pending_ = 0;
  Time first_pending_{};
  std::optional<Time> deadline_;
  Batch flushed_;
};

}  // namespace coalesce

#endif  // VDUSE_NET_COALESCE_COALESCER_H_
