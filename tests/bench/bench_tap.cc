// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/bench_tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>

#include "net/wire/header.h"
#include "tests/tools/flags.h"

namespace bench {
namespace {

using tools::Die;
using tools::DieErrno;

constexpr int kQueueLength = 32768;
constexpr size_t kFlows = 64;
constexpr size_t kEthernet = net::kEthernetHeaderBytes;
constexpr size_t kIpv4 = 20;
constexpr size_t kUdp = 8;
constexpr size_t kTcp = 20;
constexpr uint16_t kSegmentBytes = 1448;

void Store16(uint8_t* at, size_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

// sendmsg refuses a header that is larger than it knows.
constexpr size_t kSocketHeaderBytes = 10;

}  // namespace

void EnterNamespace() {
  if (unshare(CLONE_NEWNET) != 0 &&
      unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    DieErrno("a network namespace (run as root, or allow user namespaces)");
  }
  // Nothing but the benchmark's own packets.
  std::ofstream("/proc/sys/net/ipv6/conf/default/disable_ipv6") << "1";
}

std::vector<uint8_t> MakePacket(size_t frame_bytes, uint16_t flow) {
  const bool tcp = frame_bytes > 1518;
  std::vector<uint8_t> packet(net::kHeaderBytes + frame_bytes);
  uint8_t* frame = packet.data() + net::kHeaderBytes;
  constexpr std::array<uint8_t, kEthernet> kAddresses = {
      2, 0, 0, 0, 0, 0x77, 2, 0, 0, 0, 0, 0x66, 8, 0};
  std::memcpy(frame, kAddresses.data(), kEthernet);
  uint8_t* ip = frame + kEthernet;
  ip[0] = 0x45;
  Store16(ip + 2, frame_bytes - kEthernet);
  ip[8] = 64;
  ip[9] = tcp ? IPPROTO_TCP : IPPROTO_UDP;
  const std::array<uint8_t, 8> hosts = {198, 51, 100, 1, 198, 51, 100, 2};
  std::memcpy(ip + 12, hosts.data(), hosts.size());
  uint32_t sum = 0;
  for (size_t i = 0; i < kIpv4; i += 2) {
    sum += static_cast<uint32_t>(ip[i] << 8 | ip[i + 1]);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  Store16(ip + 10, ~sum & 0xffff);
  uint8_t* transport = ip + kIpv4;
  Store16(transport, flow);
  Store16(transport + 2, 9);
  net::VirtioNetHeader header;
  if (tcp) {
    transport[12] = (kTcp / 4) << 4;
    transport[13] = 0x10;  // ACK
    header.flags = net::kHeaderNeedsCsum;
    header.gso_type = net::kHeaderGsoTcpV4;
    header.hdr_len = kEthernet + kIpv4 + kTcp;
    header.gso_size = kSegmentBytes;
    header.csum_start = kEthernet + kIpv4;
    header.csum_offset = 16;
  } else {
    Store16(transport + 4, frame_bytes - kEthernet - kIpv4);
  }
  std::memcpy(packet.data(), &header, net::kHeaderBytes);
  return packet;
}

BenchTap::BenchTap(const std::string& name, size_t queues) {
  ifreq request = {};
  std::memcpy(request.ifr_name, name.data(), name.size());
  for (size_t i = 0; i < queues; ++i) {
    base::UniqueFd fd(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!fd) DieErrno("open /dev/net/tun (modprobe tun; needs access to it)");
    request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
                                           (queues > 1 ? IFF_MULTI_QUEUE : 0));
    int header_bytes = net::kHeaderBytes;
    int little_endian = 1;
    const unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4;
    if (ioctl(fd.get(), TUNSETIFF, &request) != 0 ||
        ioctl(fd.get(), TUNSETVNETHDRSZ, &header_bytes) != 0 ||
        ioctl(fd.get(), TUNSETVNETLE, &little_endian) != 0 ||
        ioctl(fd.get(), TUNSETOFFLOAD, offloads) != 0) {
      DieErrno("setting up a TAP");
    }
    queues_.push_back(std::move(fd));
  }
  sender_ = base::UniqueFd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!sender_) DieErrno("a packet socket");
  const int on = 1;
  sockaddr_ll address = {};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(if_nametoindex(name.c_str()));
  const int send_bytes = 64 << 20;
  if (setsockopt(sender_.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) !=
          0 ||
      setsockopt(sender_.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &on,
                 sizeof(on)) != 0 ||
      setsockopt(sender_.get(), SOL_SOCKET, SO_SNDBUF, &send_bytes,
                 sizeof(send_bytes)) != 0 ||
      bind(sender_.get(), reinterpret_cast<sockaddr*>(&address),
           sizeof(address)) != 0) {
    DieErrno("setting up a packet socket");
  }
  request.ifr_qlen = kQueueLength;
  if (ioctl(sender_.get(), SIOCSIFTXQLEN, &request) != 0) {
    DieErrno("the TAP's queue length");
  }
  request.ifr_flags = IFF_UP;
  if (ioctl(sender_.get(), SIOCSIFFLAGS, &request) != 0) {
    DieErrno("the TAP's going up");
  }
}

void BenchTap::Prepare(size_t frame_bytes) {
  prepared_bytes_ = frame_bytes;
  packets_.clear();
  iov_.clear();
  for (size_t i = 0; i < kFlows; ++i) {
    std::vector<uint8_t>& packet = packets_.emplace_back(
        MakePacket(frame_bytes, static_cast<uint16_t>(1000 + i)));
    iov_.push_back({.iov_base = packet.data(), .iov_len = kSocketHeaderBytes});
    iov_.push_back({.iov_base = packet.data() + net::kHeaderBytes,
                    .iov_len = frame_bytes});
  }
  messages_.assign(kFlows, {});
  for (size_t i = 0; i < kFlows; ++i) {
    messages_[i].msg_hdr.msg_iov = &iov_[2 * i];
    messages_[i].msg_hdr.msg_iovlen = 2;
  }
}

void BenchTap::Fill(size_t frame_bytes, size_t count) {
  if (prepared_bytes_ != frame_bytes) Prepare(frame_bytes);
  while (count > 0) {
    const int sent =
        sendmmsg(sender_.get(), messages_.data(),
                 static_cast<unsigned>(std::min(count, messages_.size())), 0);
    if (sent < 0 && errno == ENOBUFS) return;
    if (sent <= 0) DieErrno("sending packets to be read");
    count -= static_cast<size_t>(sent);
  }
}

}  // namespace bench
