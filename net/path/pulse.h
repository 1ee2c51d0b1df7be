// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_PULSE_H_
#define VDUSE_NET_NET_PATH_PULSE_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include "coalesce/time.h"

namespace net {

// What a thread tells about itself in memory that another process watches: that
// it makes progress, and what it waits for. Costs the thread a few plain stores
// for each wait.
//
// One thread writes. Any thread of any process reads, and may see the values of
// different moments.
class alignas(64) Pulse {
 public:
  // Says which thread it is (gettid()).
  void SetThread(pid_t thread) {
    thread_.store(thread, std::memory_order_relaxed);
  }
  // The thread goes to wait until one of its descriptors is ready, until
  // `deadline`, or, if `for_port` is set, until its port is readable.
  void BeginWait(std::optional<coalesce::Instant> deadline, bool for_port) {
    wake_at_.store(deadline ? deadline->time_since_epoch().count() : kNever,
                   std::memory_order_relaxed);
    for_port_.store(for_port, std::memory_order_relaxed);
    Turn();
  }
  // The thread works again. The first turn of a thread is work.
  void BeginWork() { Turn(); }

  // The thread; 0 until it is known.
  pid_t thread() const { return thread_.load(std::memory_order_relaxed); }
  // Grows with each call of BeginWait() and BeginWork(); even while the thread
  // waits.
  uint64_t turns() const { return turns_.load(std::memory_order_relaxed); }
  bool works() const { return turns() % 2 != 0; }
  bool waits_for_port() const {
    return for_port_.load(std::memory_order_relaxed);
  }
  // When the thread wakes up by itself.
  coalesce::Instant wakes_at() const {
    return coalesce::Instant(
        coalesce::Duration(wake_at_.load(std::memory_order_relaxed)));
  }

 private:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  void Turn() { turns_.store(turns() + 1, std::memory_order_release); }

  std::atomic<uint64_t> turns_ = 1;
  std::atomic<int64_t> wake_at_ = kNever;
  std::atomic<bool> for_port_ = false;
  std::atomic<pid_t> thread_ = 0;
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);
static_assert(std::atomic<int64_t>::is_always_lock_free);
static_assert(std::atomic<pid_t>::is_always_lock_free);

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_PULSE_H_
