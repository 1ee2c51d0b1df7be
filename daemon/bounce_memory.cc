// SPDX-License-Identifier: Apache-2.0
#include "daemon/bounce_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "base/log.h"
#include "base/unique_fd.h"
#include "daemon/device_setup.h"
#include "net/wire/features.h"

namespace program {
namespace {

constexpr uint64_t kMiB = 1 << 20;
// The size that a device has by default.
constexpr uint64_t kDefaultBounceBytes = 64 * kMiB;
// Reserved for large packets in flight and for the control queue.
constexpr uint64_t kKeptBytes = 16 * kMiB;

// A receive buffer without mergeable buffers: the data pages of a packet of 64
// KiB that begins anywhere in a page, and besides them a page for the header
// and one for the descriptor table.
constexpr uint64_t kBigPacketPages = 17 + 1;
constexpr uint64_t kBesidesPages = 2;

// The pages that a receive buffer of Linux's driver occupies.
uint64_t PagesPerReceiveBuffer(const Rings& rings, uint64_t page) {
  if (net::Has(rings.features, net::kFeatureMrgRxbuf)) return 1;
  // Without indirect tables the driver has only the descriptors of the ring.
  if (!net::Has(rings.features, net::kFeatureIndirectDesc)) return 1;
  if ((rings.features & net::kGuestSegmentation) != 0) {
    return kBigPacketPages + kBesidesPages;
  }
  if (rings.mtu > kDefaultMtu) {
    return (rings.mtu + page - 1) / page + 1 + kBesidesPages;
  }
  return 1;
}

}  // namespace

BounceNeed BounceNeedOf(const Rings& rings) {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t entries = uint64_t{rings.queue_pairs} * rings.queue_size;
  const uint64_t receive = entries * PagesPerReceiveBuffer(rings, page) * page;
  // Each transmitted packet takes a page, and another for its descriptor table.
  const uint64_t transmit = entries * 2 * page;
  const auto whole = [](uint64_t bytes) {
    return (bytes + kMiB - 1) / kMiB * kMiB;
  };
  return {.least = whole(receive + kKeptBytes),
          .full = whole(receive + transmit + kKeptBytes)};
}

absl::Status CheckRings(const Rings& rings) {
  const BounceNeed need = BounceNeedOf(rings);
  if (need.least <= kMaxBounceBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format(
      "{} queue pair{} with --queue-size {}: the receive buffers that Linux's "
      "driver posts take {} MiB of VDUSE's bounce memory, which has {} MiB at "
      "most: choose a smaller --queue-size{}{}",
      rings.queue_pairs, rings.queue_pairs == 1 ? "" : "s", rings.queue_size,
      need.least / kMiB, kMaxBounceBytes / kMiB,
      rings.queue_pairs == 1 ? "" : " or fewer --queue-pairs",
      net::Has(rings.features, net::kFeatureMrgRxbuf)
          ? ""
          : ", or offer MRG_RXBUF, with which buffers are smaller"));
}

absl::Status CheckRings(const RunOptions& options) {
  Rings rings = {.queue_pairs = options.queue_pairs.value_or(1),
                 .queue_size = options.queue_size.value_or(kDefaultQueueSize),
                 .mtu = options.mtu.value_or(kDefaultMtu)};
  rings.features = net::Without(
      options.profile.empty() ? FeaturesFor(rings.queue_pairs)
                              : net::FindProfile(options.profile)->features,
      options.without);
  return CheckRings(rings);
}

absl::Status ProvideBounceMemory(const std::string& directory,
                                 const Rings& rings) {
  if (absl::Status fits = CheckRings(rings); !fits.ok()) return fits;
  const BounceNeed need = BounceNeedOf(rings);
  const uint64_t wanted = std::min(need.full, kMaxBounceBytes);
  const std::string path = directory + "/bounce_size";
  uint64_t present = 0;
  std::ifstream(path) >> present;
  // Older kernels do not report the size.
  if (present == 0) present = kDefaultBounceBytes;
  if (present >= wanted) return absl::OkStatus();

  const std::string text = std::to_string(wanted);
  const base::UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file && write(file.get(), text.data(), text.size()) ==
                  static_cast<ssize_t>(text.size())) {
    base::Log(base::Severity::kInfo,
              "{} queue pair{} with queue size {} take up to {} MiB of VDUSE's "
              "bounce memory: {} has {} MiB now",
              rings.queue_pairs, rings.queue_pairs == 1 ? "" : "s",
              rings.queue_size, need.full / kMiB, path, wanted / kMiB);
    return absl::OkStatus();
  }
  const std::string why = std::strerror(errno);
  if (present >= need.least) {
    base::Log(base::Severity::kWarning,
              "{} cannot be raised from {} to {} MiB ({}): a driver on this "
              "host may run out of bounce memory and drop packets",
              path, present / kMiB, wanted / kMiB, why);
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(fmt::format(
      "{} must be raised from {} to {} MiB for {} queue pair{} with queue size "
      "{}, and cannot be ({}): make /sys writable for this process, or choose "
      "a smaller --queue-size",
      path, present / kMiB, wanted / kMiB, rings.queue_pairs,
      rings.queue_pairs == 1 ? "" : "s", rings.queue_size, why));
}

}  // namespace program
