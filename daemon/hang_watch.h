// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_HANG_WATCH_H_
#define VDUSE_NET_DAEMON_HANG_WATCH_H_

#include <poll.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daemon/thread_use.h"
#include "net/path/pulse.h"

namespace program {

// Notices that a thread of another process hangs, without waking up while there
// is nothing to do.
//
// A thread shows its progress in a net::Pulse. The watch has copies of the
// descriptors that the thread waits for. A thread hangs if for kLimit it makes
// no progress although it should: it was at work all the time, or one of its
// descriptors is ready, or it should have woken up by itself. A thread that
// only lacks a processor does not hang: while the machine is busy, it hangs
// once it has used half of kLimit of processor time.
//
// Quiet, the watch waits for the descriptors. Once one is ready, the watch
// looks at all threads at intervals, until none has had anything to do for
// kLimit. What the watch reads is what the watched process wrote: a process
// that lies is not noticed, and harms nobody else.
//
// One thread.
class HangWatch {
 public:
  using Instant = coalesce::Instant;
  using Duration = coalesce::Duration;

  static constexpr Duration kInterval = std::chrono::milliseconds(50);
  // A look that is this late does not count: this process was not run either.
  static constexpr Duration kLate = std::chrono::milliseconds(20);

  struct Thread {
    std::string name;
    const net::Pulse* pulse = nullptr;
    std::vector<int> fds;  // the thread always waits for these
    int port = -1;         // for this one while its pulse says so
    // What the thread has used; without an answer, it does not lack a
    // processor.
    std::function<std::optional<ThreadUse>()> use = {};
  };

  // Watches `threads` from now on; their pulses and descriptors must stay until
  // Stop() or the next Start(). With a `limit` of 0 nothing is watched.
  void Start(std::vector<Thread> threads, Duration limit);
  void Stop() { threads_.clear(); }
  bool watching() const { return !threads_.empty(); }
  // Replaces the port of the thread `index`, which may be beyond those watched.
  void SetPort(size_t index, int port);

  // Adds the descriptors to wait for, if the watch is quiet.
  void AddPolls(std::vector<pollfd>& polls) const;
  // One of these descriptors is ready.
  void OnReady(Instant now);

  // When to call Look(); nothing while the watch is quiet.
  std::optional<Instant> look_at() const {
    return watching() ? look_at_ : std::nullopt;
  }
  // Looks at all threads. Returns the name of one that hangs, if one does.
  std::optional<std::string> Look(Instant now);

 private:
  struct Watched : Thread {
    uint64_t turns = 0;                 // at the last look
    std::optional<Instant> since = {};  // without progress that was due
    Duration cpu{};                     // what it had used at `since`
  };

  static bool HasWork(const Watched& thread, Instant now);
  bool LacksProcessor(const Watched& thread) const;

  std::vector<Watched> threads_;
  Duration limit_{};
  std::optional<Instant> look_at_;
  Instant quiet_since_{};
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_HANG_WATCH_H_
