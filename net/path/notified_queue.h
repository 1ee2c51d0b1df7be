// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_NOTIFIED_QUEUE_H_
#define VDUSE_NET_NET_PATH_NOTIFIED_QUEUE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "coalesce/coalescer.h"
#include "coalesce/histogram.h"
#include "vduse/device.h"
#include "vduse/virtqueue.h"

namespace net {

using coalesce::Time;

// Why a notification was due. The last four are early: waiting would have
// helped nobody.
enum class FlushCause : uint8_t {
  kPackets,      // max_packets were reached, or none was to wait
  kTime,         // max_usecs were over
  kParams,       // the parameters, or the goal, changed
  kDescriptors,  // the driver may be short of descriptors
  kStarved,      // the driver has offered too few receive buffers
  kStop,         // the queue was about to stop
  kSuspend,      // the device was about to be suspended
};
inline constexpr size_t kFlushCauses = 7;
std::string_view FlushCauseName(FlushCause cause);

// What a queue's notifications are like, since the start of the process. 24
// KiB. Written by the queue's thread; any may read.
struct NotificationHistograms {
  coalesce::Histogram packets;      // per notification
  coalesce::Histogram delay_ns;     // from its first packet
  coalesce::Histogram lateness_ns;  // of flushes by time
};

// A virtqueue whose used buffer notifications are coalesced. Joins the ring,
// the policy and the device; the same for receiving, transmitting and (with
// parameters 0) control.
//
// A notification is owed from the moment it is due until the kernel has taken
// it: before the driver's DRIVER_OK is in force it is refused, and retried.
//
// One thread, the ring's.
class NotifiedQueue {
 public:
  // For a queue whose driver does not stop for want of descriptors.
  static constexpr uint32_t kNoEarlyFlush = UINT32_MAX;

  struct Counters {
    uint64_t packets = 0;        // completed, rejected ones included
    uint64_t flushes = 0;        // times a notification was due
    uint64_t suppressed = 0;     // of those, the driver did not want
    uint64_t notifications = 0;  // sent
    uint64_t cancelled = 0;      // times a queue went with something pending
    uint64_t waited_ns = 0;      // for notifications, all packets together
    std::array<uint64_t, kFlushCauses> causes{};  // of the flushes
    coalesce::Adaptive::Decisions decisions;      // while there was a goal

    uint64_t due_to(FlushCause cause) const {
      return causes[static_cast<size_t>(cause)];
    }

    Counters& operator+=(const Counters& more) {
      packets += more.packets;
      flushes += more.flushes;
      suppressed += more.suppressed;
      notifications += more.notifications;
      cancelled += more.cancelled;
      waited_ns += more.waited_ns;
      for (size_t i = 0; i < kFlushCauses; ++i) causes[i] += more.causes[i];
      decisions += more.decisions;
      return *this;
    }
  };

  // `early_flush` descriptors completed without a notification bring one
  // about: a driver short of descriptors waits for it. As long as it wants
  // none it is asked again whenever more are published, as it may stop between
  // two looks.
  NotifiedQueue(vduse::Device& device, uint32_t index, vduse::Virtqueue ring,
                uint32_t early_flush)
      : device_(&device),
        index_(index),
        ring_(std::move(ring)),
        early_flush_(early_flush),
        coalescer_(ring_.size()) {}

  // Records every flush from now on; `histograms` must outlive the queue.
  void RecordTo(NotificationHistograms& histograms) {
    histograms_ = &histograms;
  }

  vduse::Virtqueue& ring() { return ring_; }
  const vduse::Virtqueue& ring() const { return ring_; }
  uint32_t index() const { return index_; }

  // `packets` packets, of `descriptors` descriptors, have been published.
  void OnPublished(uint32_t packets, uint32_t descriptors, Time now);

  // Returns one chain, makes it visible and counts it.
  void Complete(vduse::Chain chain, uint64_t written, Time now);

  // Notifies if the time has come. Cheap; at every step.
  void OnTimer(Time now);

  void SetCoalescing(const coalesce::Setting& setting, Time now) {
    if (setting.goal != coalescer_.setting().goal) TakeDecisions();
    if (coalescer_.Set(setting, now)) Flush(FlushCause::kParams, now);
  }
  const coalesce::Setting& coalescing() const { return coalescer_.setting(); }

  // What the setting comes to, see Coalescer.
  coalesce::Params effective_params() const { return coalescer_.effective(); }
  // Whether packets wait under load, so as to meet a goal.
  bool waits() const {
    return coalescer_.adaptive() && coalescer_.adaptive()->waiting();
  }

  // Notifies of what is pending: waiting helps nobody.
  void FlushPending(FlushCause cause, Time now) {
    if (coalescer_.Drain()) Flush(cause, now);
  }

  // The queue is about to stop: what is pending or owed is sent now, or never.
  void Settle(FlushCause cause, Time now) {
    FlushPending(cause, now);
    if (owed_) Inject(now);
    owed_ = false;
  }

  // The driver is no longer there: nobody is to be notified of what is pending.
  void Cancel() {
    if (coalescer_.pending() > 0) ++counters_.cancelled;
    coalescer_.Cancel();
    owed_ = false;
  }

  // Whatever the driver knew is unknown to us: notifies it in any case.
  void Owe() { owed_ = true; }

  // When OnTimer() is needed.
  std::optional<Time> deadline() const;

  Counters counters() const {
    Counters counters = counters_;
    if (coalescer_.adaptive()) {
      counters.decisions += coalescer_.adaptive()->decisions();
    }
    return counters;
  }

 private:
  void FlushDue(Time now);
  void Flush(FlushCause cause, Time now);
  void Inject(Time now);
  void TakeDecisions();
  void SayIfSwitched();

  vduse::Device* device_;
  uint32_t index_;
  vduse::Virtqueue ring_;
  uint32_t early_flush_;
  coalesce::Coalescer coalescer_;
  // Since the last notification that the driver wanted; at most early_flush_.
  uint32_t unnotified_descriptors_ = 0;
  bool owed_ = false;
  Time retry_at_{};
  Time retry_delay_{};
  Counters counters_;
  bool waits_ = true;  // what was said last of an adaptive queue
  base::LogLimiter decision_log_{1};
  NotificationHistograms* histograms_ = nullptr;
};

// The earlier of two deadlines, either of which may be absent.
std::optional<Time> Earlier(std::optional<Time> a, std::optional<Time> b);

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_NOTIFIED_QUEUE_H_
