// SPDX-License-Identifier: Apache-2.0
//
// Feature bits of a network device (virtio 1.3, 5.1.3 and 6) and the
// dependencies between them. The kernel's headers define the bits, too, but do
// not compile as C++.
#ifndef VDUSE_NET_NET_WIRE_FEATURES_H_
#define VDUSE_NET_NET_WIRE_FEATURES_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace net {

constexpr uint64_t Bit(unsigned bit) { return 1ULL << bit; }

inline constexpr unsigned kFeatureCsum = 0;
inline constexpr unsigned kFeatureGuestCsum = 1;
inline constexpr unsigned kFeatureCtrlGuestOffloads = 2;
inline constexpr unsigned kFeatureMtu = 3;
inline constexpr unsigned kFeatureMac = 5;
inline constexpr unsigned kFeatureGuestTso4 = 7;
inline constexpr unsigned kFeatureGuestTso6 = 8;
inline constexpr unsigned kFeatureGuestEcn = 9;
inline constexpr unsigned kFeatureHostTso4 = 11;
inline constexpr unsigned kFeatureHostTso6 = 12;
inline constexpr unsigned kFeatureHostEcn = 13;
inline constexpr unsigned kFeatureMrgRxbuf = 15;
inline constexpr unsigned kFeatureStatus = 16;
inline constexpr unsigned kFeatureCtrlVq = 17;
inline constexpr unsigned kFeatureCtrlRx = 18;
inline constexpr unsigned kFeatureCtrlVlan = 19;
inline constexpr unsigned kFeatureCtrlRxExtra = 20;
inline constexpr unsigned kFeatureGuestAnnounce = 21;
inline constexpr unsigned kFeatureMq = 22;
inline constexpr unsigned kFeatureCtrlMacAddr = 23;
inline constexpr unsigned kFeatureIndirectDesc = 28;
inline constexpr unsigned kFeatureEventIdx = 29;
inline constexpr unsigned kFeatureVersion1 = 32;
inline constexpr unsigned kFeatureAccessPlatform = 33;
inline constexpr unsigned kFeatureDeviceStats = 50;
inline constexpr unsigned kFeatureVqNotfCoal = 52;
inline constexpr unsigned kFeatureNotfCoal = 53;
inline constexpr unsigned kFeatureGuestUso4 = 54;
inline constexpr unsigned kFeatureGuestUso6 = 55;
inline constexpr unsigned kFeatureHostUso = 56;
inline constexpr unsigned kFeatureSpeedDuplex = 63;

// Offloads. kHostOffloads is work that the driver may leave to the device on
// packets it transmits. kGuestOffloads is work that the device may leave to the
// driver on packets it receives. kUsoFeatures is UDP segmentation in both
// directions.
inline constexpr uint64_t kUsoFeatures =
    Bit(kFeatureHostUso) | Bit(kFeatureGuestUso4) | Bit(kFeatureGuestUso6);
inline constexpr uint64_t kHostOffloads =
    Bit(kFeatureCsum) | Bit(kFeatureHostTso4) | Bit(kFeatureHostTso6) |
    Bit(kFeatureHostEcn) | Bit(kFeatureHostUso);
inline constexpr uint64_t kGuestOffloads =
    Bit(kFeatureGuestCsum) | Bit(kFeatureGuestTso4) | Bit(kFeatureGuestTso6) |
    Bit(kFeatureGuestEcn) | Bit(kFeatureGuestUso4) | Bit(kFeatureGuestUso6);
// The guest offloads that make packets larger than the MTU.
inline constexpr uint64_t kGuestSegmentation =
    kGuestOffloads & ~Bit(kFeatureGuestCsum);

// Features by which the driver filters packets and sets its MAC address.
inline constexpr uint64_t kFilterFeatures =
    Bit(kFeatureCtrlRx) | Bit(kFeatureCtrlVlan) | Bit(kFeatureCtrlRxExtra) |
    Bit(kFeatureCtrlMacAddr);

// What a device offers if the kernel allows it a control queue and its TAP
// supports USO. MQ is offered only with more than one queue pair.
inline constexpr uint64_t kOfferedFeatures =
    Bit(kFeatureVersion1) | Bit(kFeatureAccessPlatform) | Bit(kFeatureMac) |
    Bit(kFeatureStatus) | Bit(kFeatureMtu) | Bit(kFeatureMrgRxbuf) |
    Bit(kFeatureIndirectDesc) | Bit(kFeatureEventIdx) | Bit(kFeatureCtrlVq) |
    Bit(kFeatureMq) | Bit(kFeatureNotfCoal) | Bit(kFeatureVqNotfCoal) |
    Bit(kFeatureCtrlGuestOffloads) | Bit(kFeatureGuestAnnounce) |
    Bit(kFeatureDeviceStats) | Bit(kFeatureSpeedDuplex) | kHostOffloads |
    kGuestOffloads | kFilterFeatures;

// A named set of features. A released profile never changes, so a device of a
// newer release can offer exactly what an older one did.
struct Profile {
  std::string_view name;
  uint64_t features;
  std::string_view text;
};
std::span<const Profile> Profiles();

// Null if no profile has that name.
const Profile* FindProfile(std::string_view name);

// `features` without `bits` and without every feature that depends on them.
uint64_t Without(uint64_t features, uint64_t bits);
inline uint64_t WithoutControlQueue(uint64_t features) {
  return Without(features, Bit(kFeatureCtrlVq));
}

// Whether a driver that was offered `offered` may accept `negotiated` (virtio
// 1.3, 2.2.2 and 5.1.3.1).
//   InvalidArgument: it may not; the text names the bit.
absl::Status CheckNegotiated(uint64_t offered, uint64_t negotiated);

// The names of the bits in `features`, for logs: "VERSION_1 MAC ...".
std::string FeatureNames(uint64_t features);

// The bits of the comma-separated `names`.
//   InvalidArgument: a name is unknown; the text says which.
absl::StatusOr<uint64_t> ParseFeatureNames(std::string_view names);

// Whether a driver may decline all of `bits`; such bits need not be offered.
bool Optional(uint64_t bits);

inline bool Has(uint64_t features, unsigned bit) {
  return (features & Bit(bit)) != 0;
}

}  // namespace net

#endif  // VDUSE_NET_NET_WIRE_FEATURES_H_
