// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <unistd.h>

#include <string>
#include <utility>

namespace base {
namespace {

Severity min_severity = Severity::kInfo;

std::string_view Prefix(Severity severity) {
  switch (severity) {
    case Severity::kDebug:
      return "debug: ";
    case Severity::kInfo:
      return "";
    case Severity::kWarning:
      return "warning: ";
    case Severity::kError:
      return "error: ";
  }
  return "";
}

}  // namespace

void SetMinLogSeverity(Severity severity) { min_severity = severity; }

void LogLine(Severity severity, std::string_view line) {
  if (severity < min_severity) return;
  std::string text = fmt::format("vduse-net: {}{}\n", Prefix(severity), line);
  // A log that cannot be written must not stop the device.
  [[maybe_unused]] ssize_t n = write(STDERR_FILENO, text.data(), text.size());
}

bool LogLimiter::Allow() {
  const auto now = std::chrono::steady_clock::now();
  if (now - window_start_ >= std::chrono::seconds(1)) {
    window_start_ = now;
    used_ = 0;
  }
  if (used_ < per_second_) {
    ++used_;
    return true;
  }
  ++suppressed_;
  return false;
}

uint64_t LogLimiter::TakeSuppressed() { return std::exchange(suppressed_, 0); }

}  // namespace base
