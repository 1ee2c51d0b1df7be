// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/raw_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "tests/tools/flags.h"

namespace tools {

// The socket stays in the namespace it was made in.
RawSocket RawSocket::Open(const std::string& where, Use use) {
  const size_t at = where.find('@');
  const std::string name = where.substr(0, at);
  const int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0) DieErrno("/proc/self/ns/net");
  if (at != std::string::npos) {
    const std::string path = "/run/netns/" + where.substr(at + 1);
    const int there = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (there < 0 || setns(there, CLONE_NEWNET) != 0) DieErrno(path);
    close(there);
  }
  RawSocket port;
  const uint16_t protocol = use == Use::kReceive ? htons(kEtherType) : 0;
  port.fd =
      socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  if (port.fd < 0) DieErrno("packet socket");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = protocol;
  address.sll_ifindex = static_cast<int>(if_nametoindex(name.c_str()));
  if (address.sll_ifindex == 0) Die("no interface {}", where);
  if (bind(port.fd, reinterpret_cast<const sockaddr*>(&address),
           sizeof(address)) != 0) {
    DieErrno("bind to " + where);
  }
  const int ignore = 1;
  if (setsockopt(port.fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &ignore,
                 sizeof(ignore)) != 0) {
    DieErrno("PACKET_IGNORE_OUTGOING");
  }
  const int buffer = 32 << 20;
  if (setsockopt(port.fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer,
                 sizeof(buffer)) != 0) {
    DieErrno("SO_RCVBUFFORCE");
  }
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  if (ioctl(port.fd, SIOCGIFHWADDR, &request) != 0) {
    DieErrno("address of " + where);
  }
  std::memcpy(port.mac.data(), request.ifr_hwaddr.sa_data, ETH_ALEN);
  if (setns(home, CLONE_NEWNET) != 0) DieErrno("setns");
  close(home);
  return port;
}

}  // namespace tools
