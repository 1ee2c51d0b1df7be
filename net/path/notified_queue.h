// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_NOTIFIED_QUEUE_H_
#define VDUSE_NET_NET_PATH_NOTIFIED_QUEUE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/zero_pages.h"
#include "coalesce/coalescer.h"
#include "coalesce/histogram.h"
#include "coalesce/time.h"
#include "vduse/device.h"
#include "vduse/virtqueue.h"

namespace net {

using coalesce::Duration;
using coalesce::Instant;

// Why a notification was due. The moment at which a notification becomes due is
// called a flush, whether or not the driver wants the notification. The last
// four causes are early: delaying would have gained nothing.
enum class FlushCause : uint8_t {
  kPackets,      // max_packets was reached, or nothing was to be delayed
  kTime,         // max_usecs had passed
  kParams,       // the parameters, or the goal, changed
  kDescriptors,  // the driver may be short of descriptors
  kStarved,      // the driver has offered too few receive buffers
  kStop,         // the queue was about to be taken away (ready = 0)
  kSuspend,      // the device was about to be suspended
};
inline constexpr size_t kFlushCauses = 7;
std::string_view FlushCauseName(FlushCause cause);

// Distributions over a queue's notifications since the start of the process; up
// to 24 KiB. The queue's thread writes them; any thread may read.
class NotificationHistograms {
  using Buckets = std::span<uint64_t, coalesce::Histogram::kBuckets>;
  Buckets Part(size_t index) const {
    return memory_.words()
        .subspan(index * Buckets::extent)
        .first<Buckets::extent>();
  }

  // Until something is recorded, this takes addresses only.
  const base::ZeroPages memory_{3 * Buckets::extent};

 public:
  coalesce::Histogram packets{Part(0)};      // per notification
  coalesce::Histogram delay_ns{Part(1)};     // from the first packet of one
  coalesce::Histogram lateness_ns{Part(2)};  // of flushes: FlushCause::kTime
};

// A virtqueue whose used buffer notifications are coalesced. It joins the ring,
// the coalescing policy, and the device. Receive and transmit queues use it,
// and the control queue, with parameters of 0.
//
// A notification is owed from the moment it is due until the kernel has
// accepted it. The kernel refuses notifications until the driver's DRIVER_OK is
// in force; they are retried.
//
// One thread: the ring's.
class NotifiedQueue {
 public:
  // The value of `early_flush` for a queue whose driver does not stop when
  // descriptors run short.
  static constexpr uint32_t kNoEarlyFlush = UINT32_MAX;

  struct Counters {
    uint64_t packets = 0;        // completed, including rejected ones
    uint64_t flushes = 0;        // times a notification was due
    uint64_t suppressed = 0;     // flushes that the driver did not want
    uint64_t notifications = 0;  // sent
    uint64_t cancelled = 0;      // stops with packets pending
    uint64_t waited_ns = 0;      // delays of all packets, summed
    std::array<uint64_t, kFlushCauses> causes{};  // flushes by cause
    coalesce::Adaptive::Decisions decisions;      // made while a goal was set

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

  // A notification is due at the latest when `early_flush` descriptors have
  // completed since the last one that the driver wanted, because the driver may
  // be short of descriptors and waiting for it. If the driver suppresses it,
  // each publish checks again, because the driver may meanwhile stop
  // transmitting and ask for one.
  NotifiedQueue(vduse::Device& device, uint32_t index, vduse::Virtqueue ring,
                uint32_t early_flush)
      : device_(&device),
        index_(index),
        ring_(std::move(ring)),
        early_flush_(early_flush),
        coalescer_(ring_.size()) {}

  // From now on, records in `histograms`: the lateness of every flush with
  // FlushCause::kTime; packets and delay of every flush that the driver wants.
  // `histograms` must outlive the queue.
  void RecordTo(NotificationHistograms& histograms) {
    histograms_ = &histograms;
  }

  vduse::Virtqueue& ring() { return ring_; }
  const vduse::Virtqueue& ring() const { return ring_; }
  uint32_t index() const { return index_; }

  // `packets` packets with `descriptors` descriptors in all were published.
  void OnPublished(uint32_t packets, uint32_t descriptors, Instant now);

  // Pushes one chain, publishes it, and counts it as one packet.
  void Complete(vduse::Chain chain, uint64_t written, Instant now);

  // Notifies if a deadline or a retry is due. Cheap; call it in every step.
  void OnTimer(Instant now);

  void SetCoalescing(const coalesce::Setting& setting, Instant now) {
    if (setting.goal != coalescer_.setting().goal) TakeDecisions();
    if (coalescer_.Set(setting, now)) Flush(FlushCause::kParams, now);
  }
  const coalesce::Setting& coalescing() const { return coalescer_.setting(); }

  // The parameters that result from the setting; see Coalescer.
  coalesce::Params effective_params() const { return coalescer_.effective(); }
  // Whether packets wait under load in order to meet a goal.
  bool waits() const {
    return coalescer_.adaptive() && coalescer_.adaptive()->waiting();
  }

  // Notifies of pending packets now, because delaying gains nothing.
  void FlushPending(FlushCause cause, Instant now) {
    if (coalescer_.Drain()) Flush(cause, now);
  }

  // The queue is about to stop, and its driver will continue: the queue is
  // taken away, or the device is suspended. Sends what is pending or owed now;
  // what cannot be sent is dropped.
  void Settle(FlushCause cause, Instant now) {
    FlushPending(cause, now);
    if (owed_) Inject(now);
    owed_ = false;
  }

  // The driver is gone, for example after a device reset: drops pending and
  // owed notifications.
  void Cancel() {
    if (coalescer_.pending() > 0) ++counters_.cancelled;
    coalescer_.Cancel();
    owed_ = false;
  }

  // Marks a notification as owed: the next OnTimer() or Settle() sends it, even
  // if the driver suppresses notifications. For use when it is unknown of which
  // completions the driver was notified.
  void Owe() { owed_ = true; }

  // When to call OnTimer() next.
  std::optional<Instant> deadline() const;

  Counters counters() const {
    Counters counters = counters_;
    if (coalescer_.adaptive()) {
      counters.decisions += coalescer_.adaptive()->decisions();
    }
    return counters;
  }

 private:
  void FlushDue(Instant now);
  void Flush(FlushCause cause, Instant now);
  void Inject(Instant now);
  void TakeDecisions();
  void SayIfSwitched();

  vduse::Device* device_;
  uint32_t index_;
  vduse::Virtqueue ring_;
  uint32_t early_flush_;
  coalesce::Coalescer coalescer_;
  // Completed since the last notification that the driver wanted; at most
  // early_flush_.
  uint32_t unnotified_descriptors_ = 0;
  bool owed_ = false;
  Instant retry_at_{};
  Duration retry_delay_{};
  Counters counters_;
  bool waits_ = true;  // the mode last logged for an adaptive queue
  base::LogLimiter decision_log_{1};
  NotificationHistograms* histograms_ = nullptr;
};

// The earlier of two deadlines, either of which may be absent.
std::optional<Instant> Earlier(std::optional<Instant> a,
                               std::optional<Instant> b);

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_NOTIFIED_QUEUE_H_
