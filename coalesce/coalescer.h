// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_COALESCE_COALESCER_H_
#define VDUSE_NET_COALESCE_COALESCER_H_

#include <chrono>
#include <cstdint>
#include <optional>

#include "coalesce/adaptive.h"

namespace coalesce {

// Coalescing parameters of one virtqueue, as the driver sends them
// (virtio 1.3, 5.1.6.5.9, struct virtio_net_ctrl_coal).
struct Params {
  uint32_t max_packets = 0;
  uint32_t max_usecs = 0;

  friend bool operator==(const Params&, const Params&) = default;
};

// How a queue is coalesced: by fixed parameters or, if there is a goal, so as
// to meet it; the parameters then wait until there is none.
struct Setting {
  Setting() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): parameters are a setting
  Setting(Params fixed) : params(fixed) {}
  Setting(Params fixed, Goal to_meet) : params(fixed), goal(to_meet) {}

  // Parameters whose bounds a queue with this setting keeps to.
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
// 5.1.6.5.9.1): max_packets after the last one, or max_usecs after the first
// packet since then, whichever comes first; after every packet while either
// value is 0. Or, if there is a goal, when an Adaptive says so.
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

  // A new setting rules at once, also over what is pending: the wait that a
  // goal would have imposed is over.
  [[nodiscard]] bool Set(const Setting& setting, Time now);

  // Waiting makes no sense any more: the queue stops or has run dry.
  [[nodiscard]] bool Drain();

  // The notification that was asked for was sent, at `now`. With a goal, the
  // next is decided about by that; without, this does nothing.
  void OnNotified(Time now);

  // Forgets what is pending: after a reset nobody is to be notified.
  void Cancel();

  // What the last call that returned true was about.
  struct Batch {
    uint32_t packets = 0;
    Time first{};                  // when the first of them was completed
    Time behind{};                 // how long after it, all of them together
    std::optional<Time> deadline;  // if they had to wait

    // How long they have waited at `now`, all of them together.
    Time waited(Time now) const { return (now - first) * packets - behind; }
  };
  const Batch& flushed() const { return flushed_; }

  // When OnTimer() is to be called; nothing while nothing is pending.
  std::optional<Time> deadline() const { return deadline_; }

  const Setting& setting() const { return setting_; }

  // What the setting comes to: bounded by the ring and by kMaxDelay; a packet
  // and no time if every packet is notified of.
  Params effective() const;

  uint32_t pending() const { return pending_; }

  // If there is a goal.
  const std::optional<Adaptive>& adaptive() const { return adaptive_; }

 private:
  bool CheckDue(Time now);
  void Flush();

  uint32_t max_pending_;
  Setting setting_;
  std::optional<Adaptive> adaptive_;
  Time adaptive_due_{};  // of what is pending
  uint32_t pending_ = 0;
  Time first_pending_{};
  Time behind_first_{};
  std::optional<Time> deadline_;
  Batch flushed_;
};

}  // namespace coalesce

#endif  // VDUSE_NET_COALESCE_COALESCER_H_
