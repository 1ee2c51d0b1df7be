// SPDX-License-Identifier: Apache-2.0
#include "simulate/arrivals.h"

#include <errno.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <random>

#include "base/parse_number.h"
#include "base/status_text.h"

namespace simulate {
namespace {

constexpr uint32_t kMaxBurst = 100'000;
constexpr double kMinRate = 1e-6;
constexpr double kMaxRate = 1e9;
constexpr double kNanoseconds = 1e9;

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
constexpr size_t kFileHeaderWords = 6;
constexpr size_t kPacketHeaderWords = 4;
constexpr uint32_t kMaxCaptured = 1U << 26;

template <size_t kWords>
bool Read(std::istream& from, std::array<uint32_t, kWords>& words) {
  from.read(reinterpret_cast<char*>(words.data()), sizeof(words));
  return from.gcount() == sizeof(words);
}

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
    const auto size = base::ParseNumber<uint32_t>(rest.substr(comma + 1));
    if (!size || *size == 0 || *size > kMaxBurst) {
      return Invalid(rule,
                     fmt::format("a burst has 1 to {} packets", kMaxBurst));
    }
    burst = *size;
    rest = rest.substr(0, comma);
  } else if (kind != "steady" && kind != "poisson") {
    return Invalid(rule, fmt::format("'{}' is not known", kind));
  }
  const auto rate = base::ParseNumber<double>(rest);
  if (!rate || !(*rate >= kMinRate && *rate <= kMaxRate)) {
    return Invalid(rule, "the rate is to be from 1e-6 to 1e9");
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

absl::StatusOr<Arrivals> ParsePcap(std::istream& capture) {
  std::array<uint32_t, kFileHeaderWords> file_header;
  if (!Read(capture, file_header)) {
    return absl::InvalidArgumentError("no pcap capture: it is too short");
  }
  const uint32_t magic = file_header[0];
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
  Arrivals arrivals;
  std::optional<Time> first;
  std::array<uint32_t, kPacketHeaderWords> header;
  while (Read(capture, header)) {
    if (swapped) {
      std::transform(header.begin(), header.end(), header.begin(), Swapped);
    }
    const auto [seconds, rest, captured, size] = header;
    if (captured > kMaxCaptured) {
      return absl::InvalidArgumentError(fmt::format(
          "damaged: packet {} has {} bytes", arrivals.size() + 1, captured));
    }
    capture.ignore(captured);
    if (capture.gcount() != captured) break;
    if (arrivals.size() == kMaxPackets) {
      return absl::InvalidArgumentError(
          fmt::format("more than {} packets", kMaxPackets));
    }
    const Time time = std::chrono::seconds(seconds) +
                      std::chrono::nanoseconds(rest * fraction);
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
  absl::StatusOr<Arrivals> arrivals = ParsePcap(file);
  if (arrivals.ok()) return arrivals;
  return absl::Status(
      arrivals.status().code(),
      fmt::format("{}: {}", path, base::Text(arrivals.status())));
}

}  // namespace simulate
