// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_THREAD_USE_H_
#define VDUSE_NET_DAEMON_THREAD_USE_H_

#include <sys/types.h>

#include <optional>

#include "coalesce/time.h"

namespace program {

// What the kernel says about a thread.
struct ThreadUse {
  bool runnable = false;     // it runs, or waits for nothing but a processor
  coalesce::Duration cpu{};  // processor time since it started
};

// Reads it from /proc; nothing if there is no such thread. Processor time has a
// resolution of a few milliseconds.
std::optional<ThreadUse> ReadThreadUse(pid_t process, pid_t thread);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_THREAD_USE_H_
