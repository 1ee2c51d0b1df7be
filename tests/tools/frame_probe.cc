// SPDX-License-Identifier: Apache-2.0
//
// Sends frames to an address and counts those that come out elsewhere.
//   frame_probe --from IF[@NETNS] --to IF[@NETNS] --dst MAC [--vlan ID]
//               [--count 20]
// A broadcast frame follows them: once it has arrived, every missing frame was
// dropped. Exits with 2 if the broadcast frame does not arrive in time.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_ether.h>
#include <netinet/ether.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "tests/tools/flags.h"
#include "tests/tools/raw_socket.h"

namespace tools {
namespace {

constexpr int kLateMs = 3000;
// What a frame says behind its type.
constexpr uint32_t kProbe = 0x70726f62;
constexpr uint32_t kEnd = 0x656e6421;

// Sends one frame, with a tag if `vlan` is not 0.
void Send(const RawSocket& from, const ether_addr& to, uint64_t vlan,
          uint32_t what) {
  std::vector<uint8_t> frame(std::begin(to.ether_addr_octet),
                             std::end(to.ether_addr_octet));
  frame.insert(frame.end(), from.mac.begin(), from.mac.end());
  const auto add = [&](uint64_t value) {
    frame.push_back(static_cast<uint8_t>(value >> 8));
    frame.push_back(static_cast<uint8_t>(value));
  };
  if (vlan != 0) {
    add(ETH_P_8021Q);
    add(vlan);
  }
  add(kEtherType);
  add(what >> 16);
  add(what);
  frame.resize(ETH_ZLEN);
  while (send(from.fd, frame.data(), frame.size(), 0) < 0) {
    if (errno != EAGAIN && errno != ENOBUFS) DieErrno("send");
    poll(nullptr, 0, 1);
  }
}

// What the next frame says; ends the program if none comes.
uint32_t Receive(const RawSocket& port) {
  for (;;) {
    std::array<uint8_t, ETH_FRAME_LEN> frame;
    const ssize_t size = recv(port.fd, frame.data(), frame.size(), 0);
    uint32_t what = 0;
    if (size >= static_cast<ssize_t>(ETH_HLEN + sizeof(what))) {
      std::memcpy(&what, frame.data() + ETH_HLEN, sizeof(what));
      return ntohl(what);
    }
    pollfd wait{.fd = port.fd, .events = POLLIN, .revents = 0};
    if (size < 0 && poll(&wait, 1, kLateMs) == 0) {
      Die("the frame that marks the end is lost");
    }
  }
}

int Main(int argc, char** argv) {
  const Flags flags(argc, argv, 1, " --from --to --dst --vlan --count ");
  const std::string text = flags.String("--dst");
  ether_addr to{};
  if (ether_aton_r(text.c_str(), &to) == nullptr)
    Die("--dst takes a MAC address, not '{}'", text);
  const uint64_t count = flags.Number("--count", 20);
  const RawSocket from =
      RawSocket::Open(flags.String("--from"), RawSocket::Use::kSend);
  const RawSocket port =
      RawSocket::Open(flags.String("--to"), RawSocket::Use::kReceive);

  for (uint64_t i = 0; i < count; ++i) {
    Send(from, to, flags.Number("--vlan", 0), kProbe);
  }
  ether_addr everyone;
  std::memset(&everyone, 0xff, sizeof(everyone));
  Send(from, everyone, 0, kEnd);

  uint64_t received = 0;
  for (uint32_t what = Receive(port); what != kEnd; what = Receive(port)) {
    if (what == kProbe) ++received;
  }
  fmt::print("sent={} received={}\n", count, received);
  return 0;
}

}  // namespace
}  // namespace tools

int main(int argc, char** argv) { return tools::Main(argc, argv); }
