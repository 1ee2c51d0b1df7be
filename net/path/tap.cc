// SPDX-License-Identifier: Apache-2.0
#include "net/path/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>

#include "net/path/offload.h"
#include "net/wire/features.h"
#include "net/wire/header.h"

namespace net {
namespace {

constexpr char kTunPath[] = "/dev/net/tun";

IoResult ToResult(ssize_t n) {
  if (n >= 0) return {.bytes = static_cast<size_t>(n)};
  return {.error = errno};
}

// One call per packet, until a call would have to wait.
template <typename One, typename Several>
void ByCalls(One one, Several several, int fd, std::span<Io> packets) {
  IoResult last;
  for (Io& packet : packets) {
    if (last.error != EAGAIN) {
      const std::span<const iovec> to = packet.segments;
      last = ToResult(
          to.size() == 1 ? one(fd, to.front().iov_base, to.front().iov_len)
                         : several(fd, to.data(), static_cast<int>(to.size())));
    }
    packet.result = last;
  }
}

absl::Status Failed(const std::string& what) {
  return absl::ErrnoToStatus(errno, what);
}

}  // namespace

absl::StatusOr<std::vector<Tap>> Tap::Open(const std::string& name,
                                           uint32_t queues,
                                           IfAbsent if_absent) {
  if (name.empty() || name.size() >= IFNAMSIZ ||
      name.find('/') != std::string::npos) {
    return absl::InvalidArgumentError(
        fmt::format("TAP name '{}' must have 1 to {} characters and no '/'",
                    name, IFNAMSIZ - 1));
  }
  std::vector<Tap> taps;
  int flags = 0;
  absl::StatusOr<Tap> opened = OpenFirst(name, queues, if_absent, flags);
  while (opened.ok()) {
    taps.push_back(std::move(*opened));
    if (taps.size() == queues) break;
    opened = OpenQueue(name, flags);
  }
  if (!opened.ok()) return opened.status();
  // These calls apply to the whole interface.
  Tap& first = taps.front();
  first.knows_uso_ =
      first.SetOffloads(TunOffloads(Bit(kFeatureGuestCsum) | kUsoFeatures))
          .ok();
  if (absl::Status status = first.SetOffloads(0); !status.ok()) return status;
  if (first.created_) {
    if (ioctl(first.fd(), TUNSETPERSIST, 1UL) != 0) {
      return Failed(fmt::format("TUNSETPERSIST 1 on '{}'", name));
    }
  }
  return taps;
}

// Opens the first queue, of an existing interface or a new one. Sets `flags` to
// what further queues must be opened with. An interface created with several
// queues can only be opened with IFF_MULTI_QUEUE, and any other only without.
absl::StatusOr<Tap> Tap::OpenFirst(const std::string& name, uint32_t queues,
                                   IfAbsent if_absent, int& flags) {
  flags = queues > 1 ? IFF_MULTI_QUEUE : 0;
  if (if_nametoindex(name.c_str()) == 0) {
    if (if_absent == IfAbsent::kFail) {
      return absl::NotFoundError(fmt::format("there is no TAP '{}'", name));
    }
    absl::StatusOr<Tap> made = OpenQueue(name, flags | IFF_TUN_EXCL);
    if (made.ok()) made->created_ = true;
    // Busy: another process has just created the interface.
    if (!absl::IsFailedPrecondition(made.status())) return made;
  }
  absl::StatusOr<Tap> tap = OpenQueue(name, flags);
  if (!absl::IsInvalidArgument(tap.status())) return tap;
  flags ^= IFF_MULTI_QUEUE;
  tap = OpenQueue(name, flags);
  if (tap.ok() && queues > 1) {
    return absl::InvalidArgumentError(fmt::format(
        "TAP '{}' exists and has one queue, {} are wanted: delete it, or make "
        "it with `ip tuntap add {} mode tap multi_queue`",
        name, queues, name));
  }
  if (absl::IsInvalidArgument(tap.status())) {
    return absl::InvalidArgumentError(fmt::format(
        "interface '{}' exists and is not a TAP: choose another --tap", name));
  }
  return tap;
}

absl::StatusOr<Tap> Tap::OpenQueue(const std::string& name, int flags) {
  base::UniqueFd fd(open(kTunPath, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    return Failed(
        fmt::format("open {} (modprobe tun; needs access to it)", kTunPath));
  }
  ifreq request = {};
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags =
      static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags);
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
  return Tap(std::move(fd));
}

void Tap::Read(std::span<Io> packets) {
  if (UseUring(packets.size())) {
    uring_->Transfer(Uring::Op::kRead, packets);
  } else {
    ByCalls(read, readv, fd(), packets);
  }
}

void Tap::Write(std::span<Io> packets) {
  if (UseUring(packets.size())) {
    uring_->Transfer(Uring::Op::kWrite, packets);
  } else {
    ByCalls(write, writev, fd(), packets);
  }
}

absl::Status Tap::StartEngine(Engine engine, PairJournal* journal) {
  uring_.reset();
  if (engine == Engine::kSyscalls) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<Uring>> uring = Uring::Create(fd(), journal);
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

absl::Status Tap::SetAttached(bool attached) {
  ifreq request = {};
  request.ifr_flags =
      static_cast<short>(attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE);
  // EINVAL: the queue already is in that state.
  if (ioctl(fd(), TUNSETQUEUE, &request) != 0 && errno != EINVAL) {
    return Failed(fmt::format("TUNSETQUEUE {}", attached ? "on" : "off"));
  }
  return absl::OkStatus();
}

absl::Status Tap::Remove() {
  // EBADFD: the interface has been deleted already.
  if (ioctl(fd(), TUNSETPERSIST, 0UL) != 0 && errno != EBADFD) {
    return Failed("TUNSETPERSIST 0");
  }
  return absl::OkStatus();
}

}  // namespace net
