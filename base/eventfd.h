// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_EVENTFD_H_
#define VDUSE_NET_BASE_EVENTFD_H_

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "base/unique_fd.h"

namespace base {

// A non-blocking eventfd; empty if the process has no descriptors left.
inline UniqueFd MakeEventfd() {
  return UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

// Wakes every thread that polls `fd`. Any thread.
inline void SignalEventfd(int fd) {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(fd, &one, sizeof(one));
}

// Returns how often `fd` was signalled since the last call.
inline uint64_t ClearEventfd(int fd) {
  uint64_t value = 0;
  return read(fd, &value, sizeof(value)) > 0 ? value : 0;
}

}  // namespace base

#endif  // VDUSE_NET_BASE_EVENTFD_H_
