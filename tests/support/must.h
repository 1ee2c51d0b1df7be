// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SUPPORT_MUST_H_
#define VDUSE_NET_TESTS_SUPPORT_MUST_H_

#include <fcntl.h>

#include <cstdio>
#include <cstdlib>

#include "base/unique_fd.h"

namespace tests {

// Ends the program if the test's environment fails; prints `what` and errno.
inline void Must(bool ok, const char* what) {
  if (ok) return;
  perror(what);
  abort();
}

inline base::UniqueFd Duplicate(int fd) {
  base::UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  Must(static_cast<bool>(copy), "F_DUPFD_CLOEXEC");
  return copy;
}

}  // namespace tests

#endif  // VDUSE_NET_TESTS_SUPPORT_MUST_H_
