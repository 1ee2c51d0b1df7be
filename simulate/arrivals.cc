// SPDX-License-Identifier: Apache-2.0
#include "simulate/arrivals.h"

#include <errno.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <system_error>

namespace simulate {
namespace {

constexpr uint32_t kMaxBurst = 100'000;
constexpr double kMaxRate = 1e9;
constexpr double kNanoseconds = 1e9;

// The whole text, or nothing.
template <typename Number>
std::optional<Number> Parse(std::string_view text) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

absl::Status Invalid(std::string_view rule, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format(
      "arrivals '{}': {}; steady:RATE, poisson:RATE or bursts:RATE,SIZE is "
      "wanted, in packets per second",
      rule, why));
}

Time AtNs(double nanoseconds) {
  return Time(static_cast<Time::rep>(nanoseconds));
}

// --- The pcap file format ----------------------------------------------------

constexpr uint32_t kMagicUsecs = 0xa1b2c3d4;
constexpr uint32_t kMagicNsecs = 0xa1b23c4d;
constexpr uint32_t kMagicPcapng = 0x0a0d0d0a;
constexpr size_t kFileHeader = 24;
constexpr size_t kPacketHeader = 16;
constexpr uint32_t kMaxCaptured = 1U << 26;

uint32_t Swapped(uint32_t word) {
  return word >> 24 | (word >> 8 & 0xff00) | (word << 8 & 0xff0000) |
         word << 24;
}

}  // namespace

absl::StatusOr<Arrivals> Generate(std::string_view rule, uint64_t packets,
                                  uint64_t seed) {
  const size_t colon = rule.find(':');
  if (colon == std::string_view::npos) return Invalid(rule, "no ':' in it");
  const std::string_view kind = rule.substr(0, colon);
  std::string_view rest = rule.substr(colon + 1);
  uint32_t burst = 1;
  if (kind == "bursts") {
    const size_t comma = rest.find(',');
    if (comma == std::string_view::npos) return Invalid(rule, "no burst size");
    const auto size = Parse<uint32_t>(rest.substr(comma + 1));
    if (!size || *size == 0 || *size > kMaxBurst) {
      return Invalid(rule,
                     fmt::format("a burst has 1 to {} packets", kMaxBurst));
    }
    burst = *size;
    rest = rest.substr(0, comma);
  } else if (kind != "steady" && kind != "poisson") {
    return Invalid(rule, fmt::format("'{}' is not known", kind));
  }
  const auto rate = Parse<double>(rest);
  if (!rate || !(*rate > 0) || *rate > kMaxRate) {
    return Invalid(rule, "the rate is to be above 0 and at most 1e9");
  }
  if (packets == 0 || packets > kMaxPackets) {
    return absl::InvalidArgumentError(fmt::format(
        "{} packets: from 1 to {} are possible", packets, kMaxPackets));
  }
  const double gap = kNanoseconds / *rate;
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> pause(1 / gap);
  // What does not fit into the clock comes at its end.
  constexpr double kEnd = 4e18;
  Arrivals arrivals;
  arrivals.reserve(packets);
  double at = 0;
  for (uint64_t i = 0; i < packets; ++i) {
    arrivals.push_back(AtNs(std::min(at, kEnd)));
    if (kind == "poisson") {
      at += pause(random);
    } else {
      const uint64_t before = (i + 1) / burst * burst;  // in whole bursts
      at = gap * static_cast<double>(before);
    }
  }
  return arrivals;
}

absl::StatusOr<Arrivals> ParsePcap(std::string_view bytes) {
  const auto word = [&](size_t at) {
    uint32_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof(value));
    return value;
  };
  if (bytes.size() < kFileHeader) {
    return absl::InvalidArgumentError("no pcap capture: it is too short");
  }
  const uint32_t magic = word(0);
  const bool swapped =
      magic == Swapped(kMagicUsecs) || magic == Swapped(kMagicNsecs);
  const uint32_t plain = swapped ? Swapped(magic) : magic;
  if (magic == kMagicPcapng) {
    return absl::InvalidArgumentError(
        "a pcapng capture: convert it with `editcap -F pcap IN OUT`");
  }
  if (plain != kMagicUsecs && plain != kMagicNsecs) {
    return absl::InvalidArgumentError(
        fmt::format("no pcap capture: it begins with {:#010x}", magic));
  }
  const uint64_t fraction = plain == kMagicNsecs ? 1 : 1000;
  const auto field = [&](size_t at) {
    return swapped ? Swapped(word(at)) : word(at);
  };
  Arrivals arrivals;
  std::optional<Time> first;
  for (size_t at = kFileHeader; bytes.size() - at >= kPacketHeader;) {
    const Time time = std::chrono::seconds(field(at)) +
                      std::chrono::nanoseconds(field(at + 4) * fraction);
    const uint32_t captured = field(at + 8);
    if (captured > kMaxCaptured) {
      return absl::InvalidArgumentError(fmt::format(
          "damaged: a packet of {} bytes at offset {}", captured, at));
    }
    at += kPacketHeader;
    if (bytes.size() - at < captured) break;
    at += captured;
    if (arrivals.size() == kMaxPackets) {
      return absl::InvalidArgumentError(
          fmt::format("more than {} packets", kMaxPackets));
    }
    if (!first) first = time;
    const Time since = time - *first;
    arrivals.push_back(arrivals.empty() ? Time::zero()
                                        : std::max(since, arrivals.back()));
  }
  if (arrivals.empty()) {
    return absl::InvalidArgumentError("a pcap capture without a packet");
  }
  return arrivals;
}

absl::StatusOr<Arrivals> ReadPcap(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::ErrnoToStatus(errno, "open " + path);
  const std::string bytes((std::istreambuf_iterator<char>(file)),
                          std::istreambuf_iterator<char>());
  absl::StatusOr<Arrivals> arrivals = ParsePcap(bytes);
  if (arrivals.ok()) return arrivals;
  return absl::Status(
      arrivals.status().code(),
      fmt::format("{}: {}", path, std::string(arrivals.status().message())));
}

}  // namespace simulate
