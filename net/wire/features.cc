// SPDX-License-Identifier: Apache-2.0
#include "net/wire/features.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string_view>

namespace net {
namespace {

struct Name {
  unsigned bit;
  std::string_view name;
};
constexpr Name kNames[] = {
    {kFeatureCsum, "CSUM"},
    {kFeatureGuestCsum, "GUEST_CSUM"},
    {kFeatureCtrlGuestOffloads, "CTRL_GUEST_OFFLOADS"},
    {kFeatureMtu, "MTU"},
    {kFeatureMac, "MAC"},
    {kFeatureGuestTso4, "GUEST_TSO4"},
    {kFeatureGuestTso6, "GUEST_TSO6"},
    {kFeatureGuestEcn, "GUEST_ECN"},
    {kFeatureHostTso4, "HOST_TSO4"},
    {kFeatureHostTso6, "HOST_TSO6"},
    {kFeatureHostEcn, "HOST_ECN"},
    {kFeatureMrgRxbuf, "MRG_RXBUF"},
    {kFeatureStatus, "STATUS"},
    {kFeatureCtrlVq, "CTRL_VQ"},
    {kFeatureCtrlRx, "CTRL_RX"},
    {kFeatureCtrlVlan, "CTRL_VLAN"},
    {kFeatureCtrlRxExtra, "CTRL_RX_EXTRA"},
    {kFeatureGuestAnnounce, "GUEST_ANNOUNCE"},
    {kFeatureMq, "MQ"},
    {kFeatureCtrlMacAddr, "CTRL_MAC_ADDR"},
    {kFeatureIndirectDesc, "INDIRECT_DESC"},
    {kFeatureEventIdx, "EVENT_IDX"},
    {kFeatureVersion1, "VERSION_1"},
    {kFeatureAccessPlatform, "ACCESS_PLATFORM"},
    {kFeatureDeviceStats, "DEVICE_STATS"},
    {kFeatureVqNotfCoal, "VQ_NOTF_COAL"},
    {kFeatureNotfCoal, "NOTF_COAL"},
    {kFeatureGuestUso4, "GUEST_USO4"},
    {kFeatureGuestUso6, "GUEST_USO6"},
    {kFeatureHostUso, "HOST_USO"},
    {kFeatureSpeedDuplex, "SPEED_DUPLEX"},
};

// Virtio 1.3, 5.1.3.1: `bit` needs at least one bit of `needs`. The
// specification leaves it implicit for some commands that they need a control
// queue.
struct Dependency {
  unsigned bit;
  uint64_t needs;
};
constexpr Dependency kDependencies[] = {
    {kFeatureGuestTso4, Bit(kFeatureGuestCsum)},
    {kFeatureGuestTso6, Bit(kFeatureGuestCsum)},
    {kFeatureGuestEcn, Bit(kFeatureGuestTso4) | Bit(kFeatureGuestTso6)},
    {kFeatureGuestUso4, Bit(kFeatureGuestCsum)},
    {kFeatureGuestUso6, Bit(kFeatureGuestCsum)},
    {kFeatureHostTso4, Bit(kFeatureCsum)},
    {kFeatureHostTso6, Bit(kFeatureCsum)},
    {kFeatureHostEcn, Bit(kFeatureHostTso4) | Bit(kFeatureHostTso6)},
    {kFeatureHostUso, Bit(kFeatureCsum)},
    {kFeatureCtrlGuestOffloads, Bit(kFeatureCtrlVq)},
    {kFeatureCtrlRx, Bit(kFeatureCtrlVq)},
    {kFeatureCtrlVlan, Bit(kFeatureCtrlVq)},
    {kFeatureCtrlRxExtra, Bit(kFeatureCtrlVq)},
    {kFeatureGuestAnnounce, Bit(kFeatureCtrlVq)},
    {kFeatureCtrlMacAddr, Bit(kFeatureCtrlVq)},
    {kFeatureDeviceStats, Bit(kFeatureCtrlVq)},
    {kFeatureMq, Bit(kFeatureCtrlVq)},
    {kFeatureNotfCoal, Bit(kFeatureCtrlVq)},
    {kFeatureVqNotfCoal, Bit(kFeatureCtrlVq)},
};

// These profiles are released: add lines, never change one.
constexpr Profile kProfiles[] = {
    {"v1", 0x0030'0003'3003'8028,
     "one queue pair, with control queue and coalescing commands"},
    {"v1-no-cvq", 0x0000'0003'3001'8028,
     "one queue pair, without control queue"},
    {"v2", 0x81f4'0003'30ff'bbaf,
     "v1 with queue pairs, offloads, filters and statistics"},
    {"v2-no-cvq", 0x81c0'0003'3001'bbab, "v1-no-cvq with offloads"},
    {"qemu-migrate", 0x8000'0003'30df'bbaf,
     "v2 without what keeps QEMU's -netdev vhost-vdpa from migrating"},
};

constexpr unsigned kRequired[] = {kFeatureVersion1, kFeatureAccessPlatform};

}  // namespace

std::span<const Profile> Profiles() { return kProfiles; }

const Profile* FindProfile(std::string_view name) {
  for (const Profile& profile : kProfiles) {
    if (profile.name == name) return &profile;
  }
  return nullptr;
}

uint64_t Without(uint64_t features, uint64_t bits) {
  features &= ~bits;
  // kDependencies lists a feature before the features that need it, so one pass
  // suffices.
  for (const Dependency& dependency : kDependencies) {
    if ((features & dependency.needs) == 0) features &= ~Bit(dependency.bit);
  }
  return features;
}

absl::Status CheckNegotiated(uint64_t offered, uint64_t negotiated) {
  if (const uint64_t extra = negotiated & ~offered; extra != 0) {
    return absl::InvalidArgumentError(fmt::format(
        "the driver accepted what was not offered: {}", FeatureNames(extra)));
  }
  for (const unsigned bit : kRequired) {
    if (!Has(negotiated, bit)) {
      return absl::InvalidArgumentError(
          fmt::format("the driver does not accept {}", FeatureNames(Bit(bit))));
    }
  }
  for (const Dependency& dependency : kDependencies) {
    if (Has(negotiated, dependency.bit) &&
        (negotiated & dependency.needs) == 0) {
      return absl::InvalidArgumentError(fmt::format(
          "the driver accepted {} without {}",
          FeatureNames(Bit(dependency.bit)), FeatureNames(dependency.needs)));
    }
  }
  return absl::OkStatus();
}

std::string FeatureNames(uint64_t features) {
  std::string text;
  while (features != 0) {
    const auto bit = static_cast<unsigned>(std::countr_zero(features));
    features &= features - 1;
    if (!text.empty()) text += ' ';
    std::string name = fmt::format("bit_{}", bit);
    for (const Name& known : kNames) {
      if (known.bit == bit) name = known.name;
    }
    text += name;
  }
  return text;
}

absl::StatusOr<uint64_t> ParseFeatureNames(std::string_view names) {
  uint64_t features = 0;
  while (!names.empty()) {
    const size_t end = std::min(names.find(','), names.size());
    const std::string_view name = names.substr(0, end);
    names.remove_prefix(std::min(names.size(), end + 1));
    const auto* known =
        std::find_if(std::begin(kNames), std::end(kNames),
                     [&](const Name& n) { return n.name == name; });
    if (known == std::end(kNames)) {
      return absl::InvalidArgumentError(
          fmt::format("there is no feature '{}'; there are {}", name,
                      FeatureNames(kOfferedFeatures)));
    }
    features |= Bit(known->bit);
  }
  return features;
}

bool Optional(uint64_t bits) {
  return std::none_of(std::begin(kRequired), std::end(kRequired),
                      [&](unsigned bit) { return Has(bits, bit); });
}

}  // namespace net
