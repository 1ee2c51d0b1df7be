// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_COALESCE_ADAPTIVE_H_
#define VDUSE_NET_COALESCE_ADAPTIVE_H_

#include <chrono>
#include <cstdint>

#include "coalesce/time.h"

namespace coalesce {

// What an adaptive queue aims for.
struct Goal {
  enum class Kind : uint8_t {
    // Under load, a notification waits for `value` microseconds after its first
    // packet. So no packet waits longer, and later packets wait for less.
    kTargetLatency,
    kMaxRate,  // at most `value` notifications per second
  };
  // The longest target latency in microseconds, and the highest rate.
  static constexpr uint32_t kMaxValue = 1'000'000;

  Kind kind = Kind::kTargetLatency;
  uint32_t value = 1;  // 1 to kMaxValue

  // The longest time that a packet waits. Under load it is also about the time
  // between two notifications.
  Duration interval() const {
    return kind == Kind::kTargetLatency
               ? Duration(std::chrono::microseconds(value))
               : Duration(std::chrono::seconds(1)) / value;
  }

  friend bool operator==(const Goal&, const Goal&) = default;
};

// Decides how long the notification of a batch waits, in order to meet a goal
// without delaying a notification that no second packet would share.
//
// If at least one interval has passed since the last notification when the
// batch's first packet completes, the notification is due at once. Otherwise it
// waits: with a target latency for one interval, with a maximum rate until one
// interval after the last notification.
//
// With a target latency, Adaptive also checks whether waiting gains anything: a
// peer that waits for an answer to each packet sends nothing while the
// notification for that packet is delayed. After kPatience waits in a row in
// which no second packet came, notifications are not delayed any more. When
// kWorthATrial notifications fall within one interval, and enough have been
// sent since the last trial, one notification is delayed as a trial. If other
// packets join it, all notifications are delayed again. Each failed trial
// lengthens the pause before the next one.
//
// Policy only: no clock, no I/O. One thread, that of its Coalescer.
class Adaptive {
 public:
  static constexpr uint32_t kPatience = 8;
  // A trial takes at least this many notifications within one interval.
  static constexpr uint32_t kWorthATrial = 8;
  static constexpr uint32_t kFirstPause = 16;  // notifications between trials
  static constexpr uint32_t kLastPause = 1024;

  // Numbers of batches, by the decision and its outcome.
  struct Decisions {
    uint64_t alone = 0;     // at once: no notification shortly before
    uint64_t through = 0;   // at once: waiting has gained nothing lately
    uint64_t gathered = 0;  // waited, and other packets joined
    uint64_t futile = 0;    // waited, and no other packet came
    uint64_t switched = 0;  // changes between waiting and not waiting

    Decisions& operator+=(const Decisions& more) {
      alone += more.alone;
      through += more.through;
      gathered += more.gathered;
      futile += more.futile;
      switched += more.switched;
      return *this;
    }
  };

  explicit Adaptive(Goal goal) : goal_(goal), interval_(goal.interval()) {}

  // A batch begins at `first`. Returns when its notification is due.
  Instant Begin(Instant first);

  // The batch's notification was sent at `now`, for `packets` packets. Do not
  // call this if the driver wanted no notification: the goal counts only those
  // that were sent.
  void End(uint32_t packets, Instant now);

  const Goal& goal() const { return goal_; }
  const Decisions& decisions() const { return decisions_; }

  // Whether notifications are delayed under load. Always true with a maximum
  // rate. With a target latency, false while waiting has gained nothing.
  bool waiting() const { return waiting_; }

 private:
  enum class Decision : uint8_t { kAlone, kThrough, kWait };

  // What a wait has gained: other packets, or nothing.
  enum class Gain : uint8_t { kGathered, kFutile };

  void OnWaited(Gain gain);
  void SetWaiting(bool waiting);

  Goal goal_;
  Duration interval_;
  bool waiting_ = true;
  uint32_t futile_in_a_row_ = 0;

  // The decision about the batch that has begun, and when it is due.
  Decision decision_ = Decision::kAlone;
  Instant due_{};

  bool notified_ = false;  // at least once
  Instant last_{};         // last notification, or when it was due

  // Numbers of notifications that were not delayed because waiting gained
  // nothing: in the interval from window_start_ on, and since the last trial.
  // At least `pause_` must lie between two trials.
  Instant window_start_{};
  uint32_t in_window_ = 0;
  uint32_t since_trial_ = 0;
  uint32_t pause_ = kFirstPause;

  Decisions decisions_;
};

}  // namespace coalesce

#endif  // VDUSE_NET_COALESCE_ADAPTIVE_H_
