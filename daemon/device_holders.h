// SPDX-License-Identifier: Apache-2.0
//
// Which processes have a device open, as /proc shows it. None of these
// functions waits for a lock that a process in trouble may hold.
#ifndef VDUSE_NET_DAEMON_DEVICE_HOLDERS_H_
#define VDUSE_NET_DAEMON_DEVICE_HOLDERS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace program {

// The name of the process that serves a device, as `ps -o comm` shows it.
inline constexpr char kServingName[] = "vduse-net-dev";

struct Holder {
  pid_t pid = 0;
  std::string name;  // as `ps -o comm` shows it
};

// The processes that have the file `path` open, without this one. Leaves out
// those that end meanwhile, and those that this process may not look at.
std::vector<Holder> HoldersOf(const std::string& path);

// Kills the process that serves the device whose file is `path`: one that is
// called kServingName and has the file open. Both are looked up once more when
// a pidfd keeps the pid from being given to another process. Does not wait for
// the end. Returns the pids of those killed, which are none if nobody serves
// the device.
//   FailedPrecondition: another program has the device open; the text names it.
absl::StatusOr<std::vector<pid_t>> KillServing(const std::string& path);

// What the threads of a process that does not end wait for in the kernel, such
// as "thread 17 (D) in rtnl_lock". Empty if there is no such process.
std::string WhereItWaits(pid_t pid);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_DEVICE_HOLDERS_H_
