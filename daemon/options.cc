// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include <errno.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/random.h>

#include <bit>
#include <charconv>

#include "vduse/ring_layout.h"

namespace program {

bool IsQueueSize(uint64_t size) {
  return size >= 2 && size <= vduse::kMaxQueueSize && std::has_single_bit(size);
}

namespace {

// Linux's driver stops a transmit queue with fewer than 19 free descriptors,
// which is what its largest packet may take (MAX_SKB_FRAGS + 2).
constexpr uint64_t kLeastFreeToTransmit = 19;
constexpr uint64_t kMinQueueSize = std::bit_ceil(kLeastFreeToTransmit);

absl::Status BadMac(const std::string& text, const char* why) {
  return absl::InvalidArgumentError(
      fmt::format("MAC address '{}' {}", text, why));
}

}  // namespace

absl::Status CheckQueueSize(const std::string& text) {
  uint64_t size = 0;
  const char* const end = text.data() + text.size();
  const auto [after, error] = std::from_chars(text.data(), end, size);
  if (error != std::errc() || after != end || !IsQueueSize(size)) {
    return absl::InvalidArgumentError(
        fmt::format("queue size {} is not a power of 2 from {} to {}", text,
                    kMinQueueSize, vduse::kMaxQueueSize));
  }
  if (size < kMinQueueSize) {
    return absl::InvalidArgumentError(fmt::format(
        "queue size {} is too small: Linux's driver stops transmitting with "
        "fewer than {} free descriptors, so with this size for ever; the "
        "smallest is {}",
        size, kLeastFreeToTransmit, kMinQueueSize));
  }
  return absl::OkStatus();
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

absl::StatusOr<net::MacAddress> ParseMac(const std::string& text) {
  constexpr char kForm[] = "is not of the form 52:54:00:12:34:56";
  net::MacAddress mac{};
  if (text.size() != 17) return BadMac(text, kForm);
  for (size_t i = 0; i < mac.size(); ++i) {
    const char* first = text.data() + 3 * i;
    const auto [end, error] = std::from_chars(first, first + 2, mac[i], 16);
    if (error != std::errc() || end != first + 2 ||
        (i + 1 < mac.size() && *end != ':')) {
      return BadMac(text, kForm);
    }
  }
  return mac;
}

absl::StatusOr<net::MacAddress> ParseDeviceMac(const std::string& text) {
  absl::StatusOr<net::MacAddress> mac = ParseMac(text);
  if (!mac.ok()) return mac;
  if (((*mac)[0] & 1) != 0) return BadMac(text, "is a multicast address");
  if (*mac == net::MacAddress{}) return BadMac(text, "is all zero");
  return mac;
}

std::string FormatMac(const net::MacAddress& mac) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0],
                     mac[1], mac[2], mac[3], mac[4], mac[5]);
}

net::MacAddress RandomMac() {
  net::MacAddress mac{};
  // Six bytes are never cut short (getrandom(2)).
  [[maybe_unused]] ssize_t n = getrandom(mac.data(), mac.size(), 0);
  mac[0] = static_cast<uint8_t>((mac[0] & 0xfe) | 0x02);
  return mac;
}

}  // namespace program
