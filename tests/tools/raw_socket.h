// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_TOOLS_RAW_SOCKET_H_
#define TESTS_TOOLS_RAW_SOCKET_H_

#include <linux/if_ether.h>

#include <array>
#include <cstdint>
#include <string>

namespace tools {

inline constexpr uint16_t kEtherType = 0x88b5;  // Local experimental.

// A packet socket of one interface, for frames of kEtherType. It does not
// block. Open as long as the process lives.
struct RawSocket {
  enum class Use { kSend, kReceive };

  // Opens "IF" or, in another network namespace, "IF@NETNS"; ends the program
  // if it cannot. A socket with Use::kSend receives nothing, so the kernel
  // queues no copies for it. A socket with Use::kReceive does not receive the
  // frames that its own interface sends.
  static RawSocket Open(const std::string& where, Use use);

  int fd = -1;
  std::array<uint8_t, ETH_ALEN> mac{};  // of the interface
};

}  // namespace tools

#endif  // TESTS_TOOLS_RAW_SOCKET_H_
