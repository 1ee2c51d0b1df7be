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

// Drops messages below `severity`. Call before starting threads.
void SetMinLogSeverity(Severity severity);

// Writes one line to stderr. Never waits; see log_output.h. Any thread.
void LogLine(Severity severity, std::string_view line);

// A descriptor that the log uses besides stderr, or -1 if there is none. A
// process that closes its descriptors after a fork must keep this one open.
int LogFd();

template <typename... Args>
void Log(Severity severity, fmt::format_string<Args...> format,
         Args&&... args) {
  LogLine(severity, fmt::format(format, std::forward<Args>(args)...));
}

// Limits how often a line is logged, so that input from the driver cannot flood
// the log: `burst` lines at once, then one line every `kInterval`. Use one
// object per kind of line and per thread.
class LogLimiter {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kInterval{1};

  explicit LogLimiter(uint32_t burst = 1) : burst_(burst), left_(burst) {}

  // True if a line may be written now; otherwise counts the line as suppressed.
  [[nodiscard]] bool Allow(Clock::time_point now = Clock::now());

  // What to append to the line that Allow() has just allowed: " (N similar
  // lines suppressed)", or nothing if none were. Starts a new count.
  std::string Suffix();

 private:
  uint32_t burst_;
  uint32_t left_;
  uint64_t suppressed_ = 0;
  Clock::time_point counted_until_{};
};

// Like Log(), if the limiter allows the line.
template <typename... Args>
void LogLimited(LogLimiter& limiter, Severity severity,
                fmt::format_string<Args...> format, Args&&... args) {
  if (!limiter.Allow()) return;
  LogLine(severity,
          fmt::format(format, std::forward<Args>(args)...) + limiter.Suffix());
}

}  // namespace base

#endif  // VDUSE_NET_BASE_LOG_H_
