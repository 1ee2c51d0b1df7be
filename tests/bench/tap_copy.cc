// SPDX-License-Identifier: Apache-2.0
//
// The least that stands between two TAPs: one thread that reads a packet from
// either and writes it to the other, with the offloads of both in force.
//   tap_copy NAME NAME
// Creates both, says "ready" and runs until it is killed.
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "tests/tools/flags.h"

namespace tools {
namespace {

constexpr int kHeaderBytes = 12;
constexpr size_t kPacketBytes = kHeaderBytes + 18 + 65535;
// Packets each way before the other way has its turn.
constexpr int kBudget = 64;

int OpenTap(std::string_view name) {
  ifreq request = {};
  if (name.size() >= IFNAMSIZ) Die("'{}' is too long for a name", name);
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  int header_bytes = kHeaderBytes;
  const unsigned offloads =
      TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0 ||
      ioctl(fd, TUNSETVNETHDRSZ, &header_bytes) != 0 ||
      ioctl(fd, TUNSETOFFLOAD, offloads) != 0) {
    DieErrno(name);
  }
  return fd;
}

void Copy(int from, int to) {
  static std::vector<uint8_t> packet(kPacketBytes);
  for (int i = 0; i < kBudget; ++i) {
    iovec space = {.iov_base = packet.data(), .iov_len = packet.size()};
    const ssize_t n = readv(from, &space, 1);
    if (n < 0) return;
    space.iov_len = static_cast<size_t>(n);
    // Dropped if the other end is down, as any interface would.
    if (writev(to, &space, 1) < 0 && errno != EIO) DieErrno("writev");
  }
}

int Main(int argc, char** argv) {
  if (argc != 3) Die("usage: tap_copy NAME NAME");
  const std::array<int, 2> taps = {OpenTap(argv[1]), OpenTap(argv[2])};
  fmt::print(stderr, "ready\n");
  std::array<pollfd, 2> wait = {};
  for (const size_t i : {0U, 1U}) {
    wait[i].fd = taps[i];
    wait[i].events = POLLIN;
  }
  for (;;) {
    if (poll(wait.data(), wait.size(), -1) < 0) DieErrno("poll");
    if (wait[0].revents != 0) Copy(taps[0], taps[1]);
    if (wait[1].revents != 0) Copy(taps[1], taps[0]);
  }
}

}  // namespace
}  // namespace tools

int main(int argc, char** argv) { return tools::Main(argc, argv); }
