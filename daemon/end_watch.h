// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_END_WATCH_H_
#define VDUSE_NET_DAEMON_END_WATCH_H_

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "coalesce/time.h"

namespace program {

// Says when a process that should have ended is still there. A thread that
// waits for a lock of the kernel, or for a device, does not even die of
// SIGKILL, and nothing in userspace can change that. Until it dies, the kernel
// keeps what the process has open.
//
// Makes no system calls. One thread.
class EndWatch {
 public:
  using Instant = coalesce::Instant;
  using Duration = coalesce::Duration;

  // From the kill to the first line of the log; each further pause is twice as
  // long as the one before, up to kLongest.
  static constexpr Duration kFirst = std::chrono::seconds(2);
  static constexpr Duration kLongest = std::chrono::minutes(10);

  // The process was killed, or has ended, at `now`. Without effect while it is
  // watched already.
  void Start(Instant now);
  // It is gone, and what it had open is free.
  void Stop() { due_.reset(); }

  // When to call Look(); nothing if no process is watched.
  std::optional<Instant> due() const { return due_; }
  // For how long the process has been ending, if it is time to say so.
  std::optional<std::chrono::seconds> Look(Instant now);

 private:
  Instant since_{};
  Duration pause_{};
  std::optional<Instant> due_;
};

// The line of the log for the process `pid`, which was killed `length` ago and
// does not end: what it waits for, and what to do.
std::string DescribeEnd(pid_t pid, std::chrono::seconds length);
// The line of the log for a process that ended `length` ago, if the device's
// file `path` is still not free: who has it open.
std::string DescribeOpen(const std::string& path, std::chrono::seconds length);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_END_WATCH_H_
