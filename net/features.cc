// SPDX-License-Identifier: Apache-2.0
#include "net/features.h"

#include <fmt/format.h>

#include <bit>
#include <string_view>

namespace net {
namespace {

struct Name {
  unsigned bit;
  std::string_view name;
};
constexpr Name kNames[] = {
    {kFeatureMtu, "MTU"},
    {kFeatureMac, "MAC"},
    {kFeatureMrgRxbuf, "MRG_RXBUF"},
    {kFeatureStatus, "STATUS"},
    {kFeatureCtrlVq, "CTRL_VQ"},
    {kFeatureIndirectDesc, "INDIRECT_DESC"},
    {kFeatureEventIdx, "EVENT_IDX"},
    {kFeatureVersion1, "VERSION_1"},
    {kFeatureAccessPlatform, "ACCESS_PLATFORM"},
    {kFeatureVqNotfCoal, "VQ_NOTF_COAL"},
    {kFeatureNotfCoal, "NOTF_COAL"},
};

// 5.1.3.1: what needs what.
struct Dependency {
  unsigned bit;
  unsigned needs;
};
constexpr Dependency kDependencies[] = {
    {kFeatureNotfCoal, kFeatureCtrlVq},
    {kFeatureVqNotfCoal, kFeatureCtrlVq},
};

// What is here was released: a line is added, none is changed.
constexpr Profile kProfiles[] = {
    {"v1", 0x0030'0003'3003'8028,
     "one queue pair, with control queue and coalescing commands"},
    {"v1-no-cvq", 0x0000'0003'3001'8028,
     "one queue pair, without control queue"},
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

uint64_t WithoutControlQueue(uint64_t features) {
  features &= ~Bit(kFeatureCtrlVq);
  for (const Dependency& dependency : kDependencies) {
    if (dependency.needs == kFeatureCtrlVq) features &= ~Bit(dependency.bit);
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
    if (Has(negotiated, dependency.bit) && !Has(negotiated, dependency.needs)) {
      return absl::InvalidArgumentError(
          fmt::format("the driver accepted {} without {}",
                      FeatureNames(Bit(dependency.bit)),
                      FeatureNames(Bit(dependency.needs))));
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

}  // namespace net
