// SPDX-License-Identifier: Apache-2.0
#include "daemon/end_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "daemon/device_holders.h"

namespace program {

void EndWatch::Start(Instant now) {
  if (due_) return;
  since_ = now;
  pause_ = kFirst;
  due_ = now + pause_;
}

std::optional<std::chrono::seconds> EndWatch::Look(Instant now) {
  if (!due_ || now < *due_) return std::nullopt;
  pause_ = std::min(2 * pause_, kLongest);
  due_ = now + pause_;
  return std::chrono::duration_cast<std::chrono::seconds>(now - since_);
}

std::string DescribeEnd(pid_t pid, std::chrono::seconds length) {
  const std::string where = WhereItWaits(pid);
  return fmt::format(
      "process {0} was killed {1} s ago and does not end: {2}. Until it ends, "
      "nobody serves the device, and commands that configure the host's "
      "network may hang. The kernel's log and /proc/{0}/task/*/stack say what "
      "it waits for: end that. If it waits for ever, only a restart of the "
      "host helps",
      pid, length.count(), where.empty() ? "it is ending" : where);
}

std::string DescribeOpen(const std::string& path, std::chrono::seconds length) {
  std::string holders;
  for (const Holder& holder : HoldersOf(path)) {
    holders += fmt::format("{}process {} ('{}')", holders.empty() ? "" : ", ",
                           holder.pid, holder.name);
  }
  return fmt::format(
      "the process that served the device ended {} s ago, but {} is still "
      "open: {}. Until it is closed, nobody serves the device, and commands "
      "that configure the host's network may hang",
      length.count(), path,
      holders.empty() ? "the kernel has not closed it yet, or a process has it "
                        "that is not visible here"
                      : "end " + holders);
}

}  // namespace program
