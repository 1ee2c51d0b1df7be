// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_STANDARD_FDS_H_
#define VDUSE_NET_BASE_STANDARD_FDS_H_

#include <fcntl.h>
#include <unistd.h>

namespace base {

// Opens /dev/null as those of the descriptors 0 to 2 that are closed. Else the
// next file that is opened, a TAP for one, would be stdout or stderr to
// whatever writes to these. Call it before anything is opened. False if one
// stays closed.
inline bool OpenStandardFds() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest free number, which is this one.
    if (open("/dev/null", O_RDWR) != fd) return false;
  }
  return true;
}

}  // namespace base

#endif  // VDUSE_NET_BASE_STANDARD_FDS_H_
