// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_STANDARD_FDS_H_
#define VDUSE_NET_BASE_STANDARD_FDS_H_

#include <fcntl.h>
#include <unistd.h>

namespace base {

// Opens /dev/null as each of the descriptors 0 to 2 that is closed. Otherwise
// the next file to be opened, for example a TAP, would become stdin, stdout or
// stderr, and a log line would be written to it. Call before opening any file.
// Returns false if one of the three stays closed.
inline bool OpenStandardFds() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // open() returns the lowest free number, which is `fd`.
    if (open("/dev/null", O_RDWR) != fd) return false;
  }
  return true;
}

}  // namespace base

#endif  // VDUSE_NET_BASE_STANDARD_FDS_H_
