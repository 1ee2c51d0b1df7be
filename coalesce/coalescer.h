// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_COALESCE_COALESCER_H_
#define VDUSE_NET_COALESCE_COALESCER_H_

#include <chrono>
#include <cstdint>
#include <optional>

#include "coalesce/adaptive.h"
#include "coalesce/time.h"

namespace coalesce {

// Coalescing parameters of one virtqueue, as the driver sends them
// (virtio 1.3, 5.1.6.5.9, struct virtio_net_ctrl_coal).
struct Params {
  uint32_t max_packets = 0;
  uint32_t max_usecs = 0;

  friend bool operator==(const Params&, const Params&) = default;
};

// How a queue is coalesced: by fixed parameters or, if there is a goal,
// adaptively. The parameters have no effect as long as there is a goal.
struct Setting {
  Setting() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): parameters are a setting
  Setting(Params fixed) : params(fixed) {}
  Setting(Params fixed, Goal to_meet) : params(fixed), goal(to_meet) {}

  // Returns this setting's upper bounds in the form of parameters: a queue
  // never waits for more packets, or longer, than they say.
  Params bound() const {
    if (!goal) return params;
    const auto usecs =
        std::chrono::ceil<std::chrono::microseconds>(goal->interval());
    return {.max_packets = UINT32_MAX,
            .max_usecs = static_cast<uint32_t>(usecs.count())};
  }

  Params params;
  std::optional<Goal> goal;

  friend bool operator==(const Setting&, const Setting&) = default;
};

// Decides when the notification for completed packets is due (virtio 1.3,
// 5.1.6.5.9.1). With fixed parameters, one is due when max_packets packets have
// completed since the last one was due, or max_usecs after the first of these
// packets, whichever comes first. If either value is 0, one is due after every
// packet. With a goal, an Adaptive decides.
//
// Policy only: no clock, no I/O. One thread, that of the queue. A call that
// returns true asks for a notification now. It has reset the packet counter and
// the timer, even if the driver then suppresses the notification.
class Coalescer {
 public:
  // No completion waits longer than this, whatever the driver has set.
  static constexpr std::chrono::microseconds kMaxDelay =
      std::chrono::seconds(1);

  // `max_pending` (at least 1) bounds the packets that may wait. With a bound
  // above the queue size, driver and device could wait for each other: the
  // driver for a notification, the device for more packets.
  explicit Coalescer(uint32_t max_pending) : max_pending_(max_pending) {}

  // `packets` more packets were completed at `now`.
  [[nodiscard]] bool OnCompleted(uint32_t packets, Instant now);

  // Checks the deadline. Calling it early, late or often is harmless.
  [[nodiscard]] bool OnTimer(Instant now);

  // Applies a new setting at once, also to pending packets: a wait that the
  // previous goal imposed ends.
  [[nodiscard]] bool Set(const Setting& setting, Instant now);

  // Ends the wait. Call it when waiting gains nothing: the queue stops, or the
  // driver lacks descriptors or buffers. Returns whether packets were pending.
  [[nodiscard]] bool Drain();

  // The notification that was asked for was sent at `now`. With a goal, this
  // affects the next decision; without one, it does nothing.
  void OnNotified(Instant now);

  // Drops what is pending: after a reset, no notification is due.
  void Cancel();

  // The packets for which a call last returned true.
  struct Batch {
    uint32_t packets = 0;
    Instant first{};                  // when the first packet was completed
    Duration behind{};                // sum of (completion time - `first`)
    std::optional<Instant> deadline;  // set if the packets had to wait

    // The sum of the packets' waits at `now`.
    Duration waited(Instant now) const {
      return (now - first) * packets - behind;
    }
  };
  const Batch& flushed() const { return flushed_; }

  // When to call OnTimer(); nothing if no packet is pending.
  std::optional<Instant> deadline() const { return deadline_; }

  const Setting& setting() const { return setting_; }

  // The setting as it takes effect, bounded by the ring and by kMaxDelay.
  // Returns 1 packet and 0 microseconds if every packet gets a notification.
  Params effective() const;

  uint32_t pending() const { return pending_; }

  // Has a value if there is a goal.
  const std::optional<Adaptive>& adaptive() const { return adaptive_; }

 private:
  bool CheckDue(Instant now);
  void Flush();

  uint32_t max_pending_;
  Setting setting_;
  std::optional<Adaptive> adaptive_;
  Instant adaptive_due_{};  // when the pending packets' notification is due
  uint32_t pending_ = 0;
  Instant first_pending_{};
  Duration behind_first_{};
  std::optional<Instant> deadline_;
  Batch flushed_;
};

}  // namespace coalesce

#endif  // VDUSE_NET_COALESCE_COALESCER_H_
