// SPDX-License-Identifier: Apache-2.0
#include "net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <cstring>
#include <fstream>

#include "net/features.h"
#include "net/header.h"
#include "net/offload.h"

namespace net {
namespace {

constexpr char kTunPath[] = "/dev/net/tun";

// Flags of an existing TUN or TAP interface, 0 if there is none. Read from
// sysfs, which takes no lock.
int ExistingFlags(const std::string& name) {
  std::ifstream file("/sys/class/net/" + name + "/tun_flags");
  int flags = 0;
  file >> std::hex >> flags;
  return file ? flags : 0;
}

IoResult ToResult(ssize_t n) {
  if (n >= 0) return {.bytes = static_cast<size_t>(n)};
  return {.error = errno};
}

absl::Status Failed(const std::string& what) {
  return absl::ErrnoToStatus(errno, what);
}

}  // namespace

absl::StatusOr<Tap> Tap::Open(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ ||
      name.find('/') != std::string::npos) {
    return absl::InvalidArgumentError(
        fmt::format("TAP name '{}' must have 1 to {} characters and no '/'",
                    name, IFNAMSIZ - 1));
  }
  base::UniqueFd fd(open(kTunPath, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    return Failed(
        fmt::format("open {} (modprobe tun; needs access to it)", kTunPath));
  }
  const bool interface_exists = if_nametoindex(name.c_str()) != 0;
  const int existing = ExistingFlags(name);
  if (interface_exists && (existing & IFF_TAP) == 0) {
    return absl::InvalidArgumentError(fmt::format(
        "interface '{}' exists and is not a TAP: choose another --tap", name));
  }
  ifreq request = {};
  std::memcpy(request.ifr_name, name.data(), name.size());
  // An interface made with several queues only opens as such.
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
                                         (existing & IFF_MULTI_QUEUE));
  if (ioctl(fd.get(), TUNSETIFF, &request) != 0) {
    if (errno == EBUSY) {
      return absl::FailedPreconditionError(
          fmt::format("TAP '{}' is in use by another process", name));
    }
    return Failed(fmt::format("TUNSETIFF '{}'", name));
  }
  int header_bytes = static_cast<int>(kHeaderBytes);
  if (ioctl(fd.get(), TUNSETVNETHDRSZ, &header_bytes) != 0) {
    return Failed(
        fmt::format("TUNSETVNETHDRSZ {} on '{}'", header_bytes, name));
  }
  int little_endian = 1;
  if (ioctl(fd.get(), TUNSETVNETLE, &little_endian) != 0) {
    return Failed(fmt::format("TUNSETVNETLE on '{}'", name));
  }
  Tap tap(std::move(fd));
  tap.knows_uso_ =
      tap.SetOffloads(TunOffloads(Bit(kFeatureGuestCsum) | kUsoFeatures)).ok();
  if (absl::Status status = tap.SetOffloads(0); !status.ok()) return status;
  if (!interface_exists) {
    tap.created_ = true;
    if (ioctl(tap.fd(), TUNSETPERSIST, 1UL) != 0) {
      return Failed(fmt::format("TUNSETPERSIST 1 on '{}'", name));
    }
  }
  return tap;
}

void Tap::Read(std::span<Io> packets) {
  if (UseUring(packets.size())) {
    uring_->Transfer(Uring::Op::kRead, packets);
    return;
  }
  for (Io& packet : packets) {
    packet.result = ToResult(readv(fd(), packet.segments.data(),
                                   static_cast<int>(packet.segments.size())));
  }
}

void Tap::Write(std::span<Io> packets) {
  if (UseUring(packets.size())) {
    uring_->Transfer(Uring::Op::kWrite, packets);
    return;
  }
  for (Io& packet : packets) {
    packet.result = ToResult(writev(fd(), packet.segments.data(),
                                    static_cast<int>(packet.segments.size())));
  }
}

absl::Status Tap::StartEngine(Engine engine) {
  uring_.reset();
  if (engine == Engine::kSyscalls) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<Uring>> uring = Uring::Create(fd());
  if (!uring.ok()) return uring.status();
  uring_ = std::move(*uring);
  return absl::OkStatus();
}

absl::Status Tap::SetOffloads(unsigned flags) {
  if (ioctl(fd(), TUNSETOFFLOAD, static_cast<unsigned long>(flags)) != 0) {
    return Failed(fmt::format("TUNSETOFFLOAD {:#x}", flags));
  }
  return absl::OkStatus();
}

absl::Status Tap::Remove() {
  // EBADFD: somebody has deleted it already.
  if (ioctl(fd(), TUNSETPERSIST, 0UL) != 0 && errno != EBADFD) {
    return Failed("TUNSETPERSIST 0");
  }
  return absl::OkStatus();
}

}  // namespace net
