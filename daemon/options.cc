// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include <errno.h>
#include <fmt/format.h>
#include <sched.h>

#include <bit>
#include <charconv>

#include "vduse/ring_layout.h"

namespace program {
namespace {

// Linux's driver stops a transmit queue with fewer than 19 free descriptors,
// the number that its largest packet may need (MAX_SKB_FRAGS + 2).
constexpr uint64_t kLeastFreeToTransmit = 19;
constexpr uint64_t kMinQueueSize = std::bit_ceil(kLeastFreeToTransmit);

}  // namespace

absl::Status CheckQueueSize(const std::string& text) {
  uint64_t size = 0;
  const char* const end = text.data() + text.size();
  const auto [after, error] = std::from_chars(text.data(), end, size);
  if (error != std::errc() || after != end || !vduse::IsQueueSize(size)) {
    return absl::InvalidArgumentError(
        fmt::format("queue size {} is not a power of 2 from {} to {}", text,
                    kMinQueueSize, vduse::kMaxQueueSize));
  }
  if (size < kMinQueueSize) {
    return absl::InvalidArgumentError(fmt::format(
        "queue size {} is too small: Linux's driver stops transmitting with "
        "fewer than {} free descriptors, and would never transmit; the "
        "smallest size is {}",
        size, kLeastFreeToTransmit, kMinQueueSize));
  }
  return absl::OkStatus();
}

absl::Status CheckHangMsecs(const std::string& text) {
  uint32_t msecs = 0;
  const char* const end = text.data() + text.size();
  const auto [after, error] = std::from_chars(text.data(), end, msecs);
  const bool in_range =
      msecs == 0 || (msecs >= kLeastHangMsecs && msecs <= kMostHangMsecs);
  if (error == std::errc() && after == end && in_range) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("{} is neither 0 nor a number of milliseconds from {} to {}",
                  text, kLeastHangMsecs, kMostHangMsecs));
}

absl::StatusOr<std::vector<int>> ParseCpus(const std::string& text) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
    return absl::ErrnoToStatus(errno, "sched_getaffinity");
  }
  std::vector<int> cpus;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto number = [&](int& value) {
    const auto [after, error] = std::from_chars(at, end, value);
    at = after;
    return error == std::errc() && value >= 0 && value < CPU_SETSIZE;
  };
  do {
    int first = 0;
    bool good = number(first);
    int last = first;
    if (good && at < end && *at == '-') {
      ++at;
      good = number(last) && first <= last;
    }
    if (!good || (at < end && *at != ',')) {
      return absl::InvalidArgumentError(
          fmt::format("'{}' is not a list of CPUs like 2,4-6", text));
    }
    for (int cpu = first; cpu <= last; ++cpu) {
      if (!CPU_ISSET(static_cast<size_t>(cpu), &allowed)) {
        return absl::InvalidArgumentError(
            fmt::format("this process may not run on CPU {}", cpu));
      }
      cpus.push_back(cpu);
    }
  } while (at < end && *at++ == ',');
  return cpus;
}

}  // namespace program
