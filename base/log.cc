// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log_output.h"

namespace base {
namespace {

Severity min_severity = Severity::kInfo;

// Never destroyed: threads may log until the process ends.
LogOutput& Stderr() {
  static auto* const output = new LogOutput(STDERR_FILENO);
  return *output;
}

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
  Stderr().WriteLine(fmt::format("vduse-net: {}{}", Prefix(severity), line));
}

int LogFd() { return Stderr().own_fd(); }

bool LogLimiter::Allow(Clock::time_point now) {
  const auto intervals = (now - counted_until_) / kInterval;
  counted_until_ += intervals * kInterval;
  left_ = static_cast<uint32_t>(
      std::min<int64_t>(burst_, int64_t{left_} + intervals));
  if (left_ > 0) {
    --left_;
    return true;
  }
  ++suppressed_;
  return false;
}

std::string LogLimiter::Suffix() {
  if (suppressed_ == 0) return "";
  return fmt::format(" ({} similar lines suppressed)",
                     std::exchange(suppressed_, 0));
}

}  // namespace base
