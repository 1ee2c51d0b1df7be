// SPDX-License-Identifier: Apache-2.0
#include "simulate/capture.h"

#include <errno.h>
#include <fmt/format.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string_view>
#include <utility>

#include "base/status_text.h"
#include "simulate/timeline.h"

namespace simulate {
namespace {

struct FileCloser {
  void operator()(FILE* file) const {
    if (file != stdin) std::fclose(file);
  }
};
struct PcapCloser {
  void operator()(pcap_t* pcap) const { pcap_close(pcap); }
};
using File = std::unique_ptr<FILE, FileCloser>;
using Pcap = std::unique_ptr<pcap_t, PcapCloser>;

// A compiled filter.
class Program {
 public:
  Program() = default;
  ~Program() { pcap_freecode(&code_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  absl::Status Compile(pcap_t* pcap, const std::string& text) {
    constexpr int kOptimize = 1;
    if (pcap_compile(pcap, &code_, text.c_str(), kOptimize,
                     PCAP_NETMASK_UNKNOWN) == 0) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        fmt::format("filter '{}': {}", text, pcap_geterr(pcap)));
  }
  bool Matches(const pcap_pkthdr& header, const u_char* data) const {
    return pcap_offline_filter(&code_, &header, data) != 0;
  }

 private:
  bpf_program code_ = {};
};

// Compiles the filter's parts. A packet is selected if all of them match.
absl::StatusOr<std::vector<std::unique_ptr<Program>>> Compile(
    pcap_t* pcap, const CaptureFilter& filter) {
  std::vector<std::string> texts;
  if (!filter.expression.empty()) texts.push_back(filter.expression);
  if (!filter.from.empty()) texts.push_back("ether src " + filter.from);
  if (!filter.to.empty()) texts.push_back("ether dst " + filter.to);
  std::vector<std::unique_ptr<Program>> programs;
  for (const std::string& text : texts) {
    programs.push_back(std::make_unique<Program>());
    absl::Status status = programs.back()->Compile(pcap, text);
    if (!status.ok()) return status;
  }
  return programs;
}

// The program that decompresses files which begin with this byte, or null. No
// capture begins with one of these bytes.
const char* Decompressor(int first_byte) {
  switch (first_byte) {
    case 0x1f:
      return "zcat";
    case 0x28:
      return "zstdcat";
    case 0x42:
      return "bzcat";
    case 0xfd:
      return "xzcat";
    default:
      return nullptr;
  }
}

absl::StatusOr<Pcap> Open(const std::string& path) {
  File file(path == "-" ? stdin : std::fopen(path.c_str(), "rbe"));
  if (!file) return absl::ErrnoToStatus(errno, "cannot open it");
  const int first = std::getc(file.get());
  if (first == EOF && std::ferror(file.get()) != 0) {
    return absl::ErrnoToStatus(errno, "cannot read it");
  }
  if (const char* decompressor = Decompressor(first)) {
    return absl::InvalidArgumentError(
        fmt::format("it is compressed: `{} {} | vduse-net simulate --pcap -`",
                    decompressor, path == "-" ? "FILE" : path));
  }
  if (first != EOF) std::ungetc(first, file.get());
  char error[PCAP_ERRBUF_SIZE] = "";
  Pcap pcap(pcap_fopen_offline_with_tstamp_precision(
      file.get(), PCAP_TSTAMP_PRECISION_NANO, error));
  if (!pcap) {
    return absl::InvalidArgumentError(
        fmt::format("it is not a pcap or pcapng capture: {}", error));
  }
  (void)file.release();  // pcap closes it
  return pcap;
}

// Nanoseconds between two timestamps of a capture, limited to kMaxStamp.
Duration Between(const timeval& from, const timeval& to) {
  constexpr int64_t kMaxSeconds = kMaxStamp.count() / 1'000'000'000 - 2;
  int64_t seconds = 0;
  if (__builtin_sub_overflow(static_cast<int64_t>(to.tv_sec),
                             static_cast<int64_t>(from.tv_sec), &seconds)) {
    seconds = to.tv_sec < 0 ? -kMaxSeconds : kMaxSeconds;
  }
  seconds = std::clamp(seconds, -kMaxSeconds, kMaxSeconds);
  // With nanosecond precision, tv_usec holds nanoseconds within the second.
  constexpr int64_t kSecond = 1'000'000'000;
  const int64_t rest = std::clamp<int64_t>(to.tv_usec, 0, kSecond) -
                       std::clamp<int64_t>(from.tv_usec, 0, kSecond);
  return std::chrono::seconds(seconds) + Duration(rest);
}

absl::StatusOr<Capture> Read(const std::string& path,
                             const CaptureFilter& filter) {
  const absl::StatusOr<Pcap> pcap = Open(path);
  if (!pcap.ok()) return pcap.status();
  const auto programs = Compile(pcap->get(), filter);
  if (!programs.ok()) return programs.status();
  Capture capture;
  std::vector<Instant> stamps;
  timeval first = {};
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  int result = 0;
  while ((result = pcap_next_ex(pcap->get(), &header, &data)) == 1) {
    ++capture.packets;
    if (!std::all_of(programs->begin(), programs->end(), [&](const auto& one) {
          return one->Matches(*header, data);
        })) {
      continue;
    }
    if (stamps.size() == kMaxPackets) {
      return absl::InvalidArgumentError(
          fmt::format("more than {} packets", kMaxPackets));
    }
    if (stamps.empty()) first = header->ts;
    stamps.push_back(Instant(Between(first, header->ts)));
  }
  if (result != PCAP_ERROR_BREAK) {
    const std::string_view error = pcap_geterr(pcap->get());
    const std::string text =
        fmt::format("after packet {}: {}", capture.packets, error);
    if (stamps.empty() || !error.starts_with("truncated")) {
      return absl::InvalidArgumentError("it is damaged " + text);
    }
    capture.warnings.push_back("it is cut short " + text);
  }
  if (stamps.empty()) {
    return absl::InvalidArgumentError(
        capture.packets == 0
            ? "it has no packets"
            : fmt::format("none of its {} packets matches the filter and the "
                          "addresses",
                          capture.packets));
  }
  Timeline timeline = MakeTimeline(std::move(stamps));
  for (std::string& warning : timeline.Warnings()) {
    capture.warnings.push_back(std::move(warning));
  }
  capture.arrivals = std::move(timeline.arrivals);
  return capture;
}

}  // namespace

absl::StatusOr<Capture> ReadCapture(const std::string& path,
                                    const CaptureFilter& filter) {
  absl::StatusOr<Capture> capture = Read(path, filter);
  if (capture.ok()) return capture;
  return absl::Status(
      capture.status().code(),
      fmt::format("{}: {}", path == "-" ? "standard input" : path,
                  base::Text(capture.status())));
}

}  // namespace simulate
