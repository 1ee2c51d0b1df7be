// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_LOG_H_
#define VDUSE_NET_BASE_LOG_H_

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace base {

enum class Severity { kDebug, kInfo, kWarning, kError };

// Messages below `severity` are not written. Call before starting threads.
void SetMinLogSeverity(Severity severity);

// Writes one line to stderr. Never waits; see log_output.h. Any thread.
void LogLine(Severity severity, std::string_view line);

// A descriptor that the log needs besides stderr's, or -1: whoever closes all
// others after a fork keeps it.
int LogFd();

template <typename... Args>
void Log(Severity severity, fmt::format_string<Args...> format,
         Args&&... args) {
  LogLine(severity, fmt::format(format, std::forward<Args>(args)...));
}

// Lets `burst` lines through, and then a line every `kInterval`, so that input
// from the driver cannot flood the log. One object per kind of lines and
// thread.
class LogLimiter {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kInterval{1};

  explicit LogLimiter(uint32_t burst = 1) : burst_(burst), left_(burst) {}

  // True if a line may be written now; a false is counted.
  [[nodiscard]] bool Allow(Clock::time_point now = Clock::now());

  // What the line that is let through has to say of those that were not: " (N
  // similar lines suppressed)", or nothing. Starts a new count.
  std::string Suffix();

 private:
  uint32_t burst_;
  uint32_t left_;
  uint64_t suppressed_ = 0;
  Clock::time_point counted_until_{};
};

// As Log(), if the limiter lets the line through.
template <typename... Args>
void LogLimited(LogLimiter& limiter, Severity severity,
                fmt::format_string<Args...> format, Args&&... args) {
  if (!limiter.Allow()) return;
  LogLine(severity,
          fmt::format(format, std::forward<Args>(args)...) + limiter.Suffix());
}

}  // namespace base

#endif  // VDUSE_NET_BASE_LOG_H_
