// SPDX-License-Identifier: Apache-2.0
#include "daemon/file_limit.h"

#include <errno.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include "net/wire/config_space.h"
#include "vduse/kernel_device.h"

namespace program {
namespace {

// Of the process that serves the device, per pair: four of the worker, the
// TAP's queue, io_uring's, and one for temporary use. The supervisor has fewer:
// the TAP's queue, and a copy of each kick's eventfd.
constexpr uint64_t kFilesPerPair = 8;
// The process's own, its log, its operator socket and the connections of that.
constexpr uint64_t kOtherFiles = 48;
static_assert(kOtherFiles + kFilesPerPair * net::kMaxQueuePairs <=
              vduse::KernelDevice::kLowestFd);

}  // namespace

// The device's descriptor has a number above all others.
const uint64_t kNeededFiles = vduse::KernelDevice::kLowestFd + 16;

absl::Status RaiseFileLimit(uint64_t needed) {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return absl::ErrnoToStatus(errno, "limit of open files");
  }
  if (limit.rlim_cur < limit.rlim_max) {
    const rlimit raised = {.rlim_cur = limit.rlim_max,
                           .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  if (limit.rlim_cur >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(fmt::format(
      "this process may open {} files, and needs {}: raise its hard limit "
      "(`ulimit -Hn {}`, or systemd's LimitNOFILE=)",
      limit.rlim_cur, needed, needed));
}

}  // namespace program
