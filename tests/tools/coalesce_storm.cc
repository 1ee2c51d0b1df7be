// SPDX-License-Identifier: Apache-2.0
//
// Changes an interface's interrupt coalescing many times, by the same ioctl
// that `ethtool -C` falls back to, and times every change.
//   coalesce_storm --dev IF --count N [--pause-usecs U] [--limit-ms L]
// Odd rounds set (8, 4), even ones (round % 1000, round % 250); the last one
// is read back. Exits 1 if a change failed or took longer than the limit.
// `--count 0` goes on until SIGTERM.

#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <string>

#include "tests/tools/flags.h"

namespace tools {
namespace {

volatile std::sig_atomic_t g_stop = 0;

int64_t NowUs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

int Call(int fd, const std::string& dev, ethtool_coalesce& coalesce) {
  ifreq request{};
  dev.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&coalesce);
  return ioctl(fd, SIOCETHTOOL, &request) == 0 ? 0 : errno;
}

void Stop(int) { g_stop = 1; }

// What the round of that number asks for.
void SetFor(uint64_t round, ethtool_coalesce& wanted) {
  const bool odd = round % 2 == 1;
  wanted.cmd = ETHTOOL_SCOALESCE;
  wanted.rx_coalesce_usecs = odd ? 8 : static_cast<uint32_t>(round % 1000);
  wanted.rx_max_coalesced_frames =
      odd ? 4 : static_cast<uint32_t>(1 + round % 250);
  wanted.tx_coalesce_usecs = wanted.rx_coalesce_usecs;
  wanted.tx_max_coalesced_frames = wanted.rx_max_coalesced_frames;
}

bool Same(const ethtool_coalesce& a, const ethtool_coalesce& b) {
  return a.rx_coalesce_usecs == b.rx_coalesce_usecs &&
         a.rx_max_coalesced_frames == b.rx_max_coalesced_frames &&
         a.tx_coalesce_usecs == b.tx_coalesce_usecs &&
         a.tx_max_coalesced_frames == b.tx_max_coalesced_frames;
}

int Main(int argc, char** argv) {
  const Flags flags(argc, argv, 1, " --dev --count --pause-usecs --limit-ms ");
  struct sigaction action {};
  action.sa_handler = Stop;
  sigaction(SIGTERM, &action, nullptr);
  const std::string dev = flags.String("--dev");
  const uint64_t count = flags.Number("--count");
  const auto pause = static_cast<useconds_t>(flags.Number("--pause-usecs", 0));
  const auto limit_us =
      static_cast<int64_t>(flags.Number("--limit-ms", 1000) * 1000);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) DieErrno("socket");

  ethtool_coalesce wanted{};
  wanted.cmd = ETHTOOL_GCOALESCE;
  if (const int error = Call(fd, dev, wanted); error != 0) {
    Die("{}: reading the coalescing: {}", dev, std::strerror(error));
  }
  uint64_t done = 0;
  uint64_t failed = 0;
  uint64_t slow = 0;
  int64_t worst_us = 0;
  int last_error = 0;
  const int64_t start = NowUs();
  for (uint64_t round = 1; (count == 0 || round <= count) && g_stop == 0;
       ++round) {
    SetFor(round, wanted);
    const int64_t before = NowUs();
    const int error = Call(fd, dev, wanted);
    const int64_t took = NowUs() - before;
    worst_us = std::max(worst_us, took);
    if (took > limit_us) ++slow;
    if (error != 0) {
      ++failed;
      last_error = error;
    } else {
      ++done;
    }
    if (pause != 0) usleep(pause);
  }
  const int64_t elapsed = std::max<int64_t>(NowUs() - start, 1);

  ethtool_coalesce now{};
  now.cmd = ETHTOOL_GCOALESCE;
  const int error = Call(fd, dev, now);
  const bool same = error == 0 && Same(now, wanted);
  fmt::print(
      "changes={} failed={}{} slow={} worst_ms={}.{:03} elapsed_ms={} "
      "per_sec={} rx_usecs={} rx_frames={} last_rules={}\n",
      done, failed,
      failed == 0 ? "" : fmt::format(" ({})", std::strerror(last_error)), slow,
      worst_us / 1000, worst_us % 1000, elapsed / 1000,
      done * 1'000'000 / static_cast<uint64_t>(elapsed), now.rx_coalesce_usecs,
      now.rx_max_coalesced_frames, same ? "yes" : "no");
  close(fd);
  return failed == 0 && slow == 0 && same ? 0 : 1;
}

}  // namespace
}  // namespace tools

int main(int argc, char** argv) { return tools::Main(argc, argv); }
