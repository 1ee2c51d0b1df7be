// SPDX-License-Identifier: Apache-2.0
//
// An evenly paced UDP flow and its receiver.
//   udp_flow send --to IP --port P --count N --interval-usecs U --size S
//            [--segments K] [--burst B]
//   udp_flow recv --port P --count N --idle-ms M
// Sends a packet at each multiple of the interval; with --segments, K packets
// as one large packet (UDP_SEGMENT) at every Kth multiple; with --burst, B
// packets at every Bth multiple. A sender that was late catches up, so the rate
// holds over the whole flow. SIGTERM ends both early. `--count 0` is no limit.
// The receiver prints `gaps=`: up to eight places where numbers are missing, as
// FIRST+COUNT@MILLISECONDS since the first packet. What came late stays listed.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tools/flags.h"

namespace tools {
namespace {

constexpr uint64_t kMagic = 0x7664'7573'6566'6c77;
constexpr int64_t kNsPerSec = 1'000'000'000;

volatile std::sig_atomic_t g_stop = 0;

// Since Linux 4.18; not in every libc's headers.
constexpr int kUdpSegment = 103;
constexpr uint64_t kMaxSegments = 64;
constexpr uint64_t kMaxDatagram = 65507;

// What each packet starts with; the rest is derived from `seq`.
struct Header {
  uint64_t magic;
  uint64_t seq;
};
static_assert(sizeof(Header) == 16);

int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNsPerSec + now.tv_nsec;
}

void Fill(uint64_t seq, std::span<uint8_t> packet) {
  const Header header{.magic = kMagic, .seq = seq};
  std::memcpy(packet.data(), &header, sizeof(header));
  for (size_t i = sizeof(header); i < packet.size(); ++i) {
    packet[i] = static_cast<uint8_t>(seq + i);
  }
}

// Errors that the flow survives: the far end is down or not listening.
bool Passing(int error) {
  return error == ECONNREFUSED || error == ENETUNREACH || error == ENETDOWN ||
         error == EHOSTUNREACH || error == ENOBUFS || error == ENXIO ||
         error == ENODEV || error == EINTR || error == EPERM ||
         error == EINVAL || error == EADDRNOTAVAIL;
}

sockaddr_in Destination(const Flags& flags) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(flags.Number("--port")));
  const std::string ip = flags.String("--to");
  if (inet_pton(AF_INET, ip.c_str(), &to.sin_addr) != 1) {
    Die("--to takes an IPv4 address, not '{}'", ip);
  }
  return to;
}

// Or until there was a signal.
void WaitUntil(int64_t due) {
  const timespec when{.tv_sec = due / kNsPerSec, .tv_nsec = due % kNsPerSec};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr) ==
             EINTR &&
         g_stop == 0) {
  }
}

int Send(const Flags& flags) {
  const uint64_t count = flags.Number("--count");
  const auto interval_ns =
      static_cast<int64_t>(flags.Number("--interval-usecs") * 1000);
  const uint64_t size = flags.Number("--size", 64);
  if (size < sizeof(Header) || size > kMaxDatagram)
    Die("--size {} is not 16 to {}", size, kMaxDatagram);
  const uint64_t segments = flags.Number("--segments", 1);
  if (segments < 1 || segments > kMaxSegments ||
      segments * size > kMaxDatagram || count % segments != 0) {
    Die("--segments {} is not 1 to {}, does not divide --count {}, or is over "
        "{} bytes",
        segments, kMaxSegments, count, kMaxDatagram);
  }
  const uint64_t burst = flags.Number("--burst", 1);
  if (burst < 1) Die("--burst takes a positive number");
  const sockaddr_in to = Destination(flags);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) DieErrno("socket");
  const auto segment_bytes = static_cast<int>(size);
  if (segments > 1 && setsockopt(fd, IPPROTO_UDP, kUdpSegment, &segment_bytes,
                                 sizeof(segment_bytes)) != 0) {
    DieErrno("UDP_SEGMENT");
  }
  // Ordinary threads are woken up to 50 us late.
  prctl(PR_SET_TIMERSLACK, 1);

  std::vector<uint8_t> packets(segments * size);
  uint64_t sent = 0;
  uint64_t failed = 0;
  int64_t latest_ns = 0;
  const int64_t start = NowNs();
  for (uint64_t seq = 0; (count == 0 || seq < count) && g_stop == 0;
       seq += segments) {
    const int64_t due =
        start + static_cast<int64_t>(seq - seq % burst) * interval_ns;
    WaitUntil(due);
    latest_ns = std::max(latest_ns, NowNs() - due);
    for (uint64_t i = 0; i < segments; ++i) {
      Fill(seq + i, std::span(packets).subspan(i * size, size));
    }
    if (sendto(fd, packets.data(), packets.size(), 0,
               reinterpret_cast<const sockaddr*>(&to), sizeof(to)) >= 0) {
      sent += segments;
    } else if (Passing(errno)) {
      failed += segments;
    } else {
      DieErrno("sendto");
    }
  }
  const int64_t elapsed_us = std::max<int64_t>((NowNs() - start) / 1000, 1);
  fmt::print("sent={} failed={} elapsed_us={} rate_pps={} latest_us={}\n", sent,
             failed, elapsed_us,
             sent * 1'000'000 / static_cast<uint64_t>(elapsed_us),
             latest_ns / 1000);
  close(fd);
  return 0;
}

int Listening(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) DieErrno("socket");
  const int buffer = 8 << 20;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) !=
      0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
      0) {
    DieErrno("bind");
  }
  return fd;
}

// Numbers that were missing when the next one came.
struct Gap {
  uint64_t first;
  uint64_t count;
  int64_t at_ns;  // Since the first packet.
};
constexpr size_t kMaxGaps = 8;

std::string Text(const std::vector<Gap>& gaps) {
  std::string text;
  for (const Gap& gap : gaps) {
    text += fmt::format("{}{}+{}@{}", text.empty() ? " gaps=" : ",", gap.first,
                        gap.count, gap.at_ns / 1'000'000);
  }
  return text;
}

bool Intact(std::span<const uint8_t> packet, uint64_t seq) {
  static std::array<uint8_t, 65536> expected;
  const auto same = std::span(expected).first(packet.size());
  Fill(seq, same);
  return std::ranges::equal(same, packet);
}

int Receive(const Flags& flags) {
  const uint64_t count = flags.Number("--count", 0);
  const auto idle_ms = static_cast<int>(flags.Number("--idle-ms", 1000));
  const int fd = Listening(static_cast<uint16_t>(flags.Number("--port")));
  fmt::print(stderr, "listening\n");

  uint64_t received = 0;
  uint64_t next = 0;  // One above the highest number seen.
  std::vector<Gap> gaps;
  std::vector<bool> seen;  // by number
  uint64_t repeated = 0;
  uint64_t reordered = 0;  // late, and for the first time
  uint64_t corrupt = 0;
  std::array<uint8_t, 65536> packet;
  int64_t first_ns = 0;
  int64_t last_ns = 0;
  int64_t gap_ns = 0;
  while (g_stop == 0 && (count == 0 || next < count)) {
    pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
    // The flow may start when it likes; it is over when it pauses.
    const int ready = poll(&wait, 1, received == 0 ? -1 : idle_ms);
    if (ready == 0) break;
    if (ready < 0) continue;
    const ssize_t got = recv(fd, packet.data(), packet.size(), MSG_DONTWAIT);
    if (got < 0) continue;
    const auto size = static_cast<size_t>(got);
    const int64_t now = NowNs();
    if (first_ns == 0) first_ns = now;
    if (last_ns != 0) gap_ns = std::max(gap_ns, now - last_ns);
    last_ns = now;
    Header header{};
    std::memcpy(&header, packet.data(), std::min(size, sizeof(header)));
    if (size < sizeof(header) || header.magic != kMagic ||
        !Intact(std::span(packet).first(size), header.seq)) {
      ++corrupt;
      continue;
    }
    ++received;
    if (header.seq < next) {
      ++(seen[header.seq] ? repeated : reordered);
    } else {
      seen.resize(header.seq + 1);
      if (header.seq > next && gaps.size() < kMaxGaps) {
        gaps.push_back({next, header.seq - next, now - first_ns});
      }
      next = header.seq + 1;
    }
    seen[header.seq] = true;
  }
  const uint64_t lost = std::max(count, next) - (received - repeated);
  fmt::print(
      "received={} lost={} repeated={} reordered={} corrupt={} elapsed_us={} "
      "gap_us={}{}\n",
      received, lost, repeated, reordered, corrupt, (last_ns - first_ns) / 1000,
      gap_ns / 1000, Text(gaps));
  close(fd);
  return corrupt == 0 ? 0 : 1;
}

void Stop(int) { g_stop = 1; }

int Main(int argc, char** argv) {
  struct sigaction action {};
  action.sa_handler = Stop;  // Without SA_RESTART: it ends a wait.
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "send") {
    return Send(Flags(argc, argv, 2,
                      " --to --port --count --interval-usecs --size "
                      "--segments --burst "));
  }
  if (mode == "recv") {
    return Receive(Flags(argc, argv, 2, " --port --count --idle-ms "));
  }
  Die("usage: udp_flow send|recv ...");
}

}  // namespace
}  // namespace tools

int main(int argc, char** argv) { return tools::Main(argc, argv); }
