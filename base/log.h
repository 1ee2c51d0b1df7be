// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_LOG_H_
#define VDUSE_NET_BASE_LOG_H_

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <string_view>

namespace base {

enum class Severity { kDebug, kInfo, kWarning, kError };

// Messages below `severity` are not written. Call before starting threads.
void SetMinLogSeverity(Severity severity);

// Writes one line to stderr in a single write(2). Any thread.
void LogLine(Severity severity, std::string_view line);

template <typename... Args>
void Log(Severity severity, fmt::format_string<Args...> format,
         Args&&... args) {
  LogLine(severity, fmt::format(format, std::forward<Args>(args)...));
}

// Lets `per_second` lines a second through, so that input from the driver
// cannot flood the log. One object per source and thread.
class LogLimiter {
 public:
  explicit LogLimiter(uint32_t per_second = 1) : per_second_(per_second) {}

  // True if a line may be written now; a false is counted.
  [[nodiscard]] bool Allow();

  // Lines held back since the last call.
  uint64_t TakeSuppressed();

 private:
  uint32_t per_second_;
  uint32_t used_ = 0;
  uint64_t suppressed_ = 0;
  std::chrono::steady_clock::time_point window_start_{};
};

}  // namespace base

#endif  // VDUSE_NET_BASE_LOG_H_
