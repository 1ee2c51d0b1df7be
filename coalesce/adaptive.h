// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_COALESCE_ADAPTIVE_H_
#define VDUSE_NET_COALESCE_ADAPTIVE_H_

#include <chrono>
#include <cstdint>

namespace coalesce {

// A reading of a monotonic clock; only differences count.
using Time = std::chrono::nanoseconds;

// What an adaptive queue is to achieve.
struct Goal {
  enum class Kind : uint8_t {
    kTargetLatency,  // under load, packets wait for `value` microseconds
    kMaxRate,        // at most `value` notifications per second
  };
  // The longest wait of all, and the least rate that goes with it.
  static constexpr uint32_t kMaxValue = 1'000'000;

  Kind kind = Kind::kTargetLatency;
  uint32_t value = 1;  // 1 to kMaxValue

  // Between two notifications under load, and the longest that a packet waits.
  Time interval() const {
    return kind == Kind::kTargetLatency ? Time(std::chrono::microseconds(value))
                                        : Time(std::chrono::seconds(1)) / value;
  }

  friend bool operator==(const Goal&, const Goal&) = default;
};

// Decides how long the packets of a batch wait, so as to meet a goal without
// delaying what nothing else would join.
//
// A packet that comes an interval or more after the last notification is let
// through at once. Others wait: with a target latency for an interval, with a
// maximum rate until an interval after the last notification. A target latency
// also has a look at what that is good for: a peer that answers each packet
// sends none while one waits. After kPatience waits in a row that brought no
// second packet, all are let through; as soon as several notifications come
// within an interval, one waits on trial, and if others join it, all do again.
// Each trial that fails makes the next one rarer.
//
// Policy only: no clock, no I/O, no threads.
class Adaptive {
 public:
  static constexpr uint32_t kPatience = 8;
  // So many notifications within an interval are worth a trial.
  static constexpr uint32_t kWorthATrial = 8;
  static constexpr uint32_t kFirstPause = 16;  // notifications between trials
  static constexpr uint32_t kLastPause = 1024;

  // What became of batches, by the decision about them.
  struct Decisions {
    uint64_t alone = 0;     // at once: none came shortly before
    uint64_t through = 0;   // at once: lately, waiting was good for nothing
    uint64_t gathered = 0;  // waited, and others joined
    uint64_t futile = 0;    // waited for nothing
    uint64_t switched = 0;  // times that it went over to waiting, or back

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

  // A batch begins at `first`. When it is to be notified of.
  Time Begin(Time first);

  // It was notified of, with so many packets, at `now`. Not to be called where
  // the driver wanted no notification: the goal is about those that were sent.
  void End(uint32_t packets, Time now);

  const Goal& goal() const { return goal_; }
  const Decisions& decisions() const { return decisions_; }

  // Whether packets wait under load, or are let through.
  bool waiting() const { return waiting_; }

 private:
  enum class Decision : uint8_t { kAlone, kThrough, kWait };

  void Judge(bool gathered);
  void Switch(bool waiting);

  Goal goal_;
  Time interval_;
  bool waiting_ = true;
  uint32_t futile_in_a_row_ = 0;

  // The batch that has begun.
  Decision decision_ = Decision::kAlone;
  Time due_{};

  bool notified_ = false;  // ever
  Time last_{};            // notification, or when that was due

  // What was let through in the present interval, and since the last trial.
  Time window_start_{};
  uint32_t in_window_ = 0;
  uint32_t since_trial_ = 0;
  uint32_t pause_ = kFirstPause;

  Decisions decisions_;
};

}  // namespace coalesce

#endif  // VDUSE_NET_COALESCE_ADAPTIVE_H_
