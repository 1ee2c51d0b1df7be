// SPDX-License-Identifier: Apache-2.0
#include "daemon/thread_use.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "absl/status/statusor.h"
#include "base/text_file.h"

namespace program {

std::optional<ThreadUse> ReadThreadUse(pid_t process, pid_t thread) {
  const absl::StatusOr<std::string> text =
      base::ReadFile(fmt::format("/proc/{}/task/{}/stat", process, thread));
  if (!text.ok()) return std::nullopt;
  // The name, in parentheses, may contain anything.
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  char state = 0;
  unsigned long user = 0;
  unsigned long system = 0;
  if (std::sscanf(text->c_str() + name_end + 1,
                  " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &state,
                  &user, &system) != 3) {
    return std::nullopt;
  }
  const std::chrono::duration<double> cpu(
      static_cast<double>(user + system) /
      static_cast<double>(sysconf(_SC_CLK_TCK)));
  return ThreadUse{.runnable = state == 'R',
                   .cpu = std::chrono::duration_cast<coalesce::Duration>(cpu)};
}

}  // namespace program
