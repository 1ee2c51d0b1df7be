// SPDX-License-Identifier: Apache-2.0
#include "net/features.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace net {
namespace {

constexpr uint64_t kLeast = Bit(kFeatureVersion1) | Bit(kFeatureAccessPlatform);

TEST(FeaturesTest, ADriverMayAcceptAllOrTheLeast) {
  EXPECT_TRUE(CheckNegotiated(kOfferedFeatures, kOfferedFeatures).ok());
  EXPECT_TRUE(CheckNegotiated(kOfferedFeatures, kLeast).ok());
}

TEST(FeaturesTest, Row1_NoBitMayBeAcceptedThatWasNotOffered) {
  for (unsigned bit = 0; bit < 64; ++bit) {
    if (Has(kOfferedFeatures, bit)) continue;
    const absl::Status status =
        CheckNegotiated(kOfferedFeatures, kOfferedFeatures | Bit(bit));
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bit;
    EXPECT_NE(status.message().find("bit_" + std::to_string(bit)),
              std::string::npos);
  }
}

TEST(FeaturesTest, Row1_AControlQueueMayNotBeAcceptedWhereNoneWasOffered) {
  const uint64_t offered = WithoutControlQueue(kOfferedFeatures);
  for (const unsigned bit :
       {kFeatureCtrlVq, kFeatureNotfCoal, kFeatureVqNotfCoal}) {
    EXPECT_FALSE(CheckNegotiated(offered, offered | Bit(bit)).ok());
  }
}

TEST(FeaturesTest, Row2_TheLeastMustBeAccepted) {
  for (const unsigned bit : {kFeatureVersion1, kFeatureAccessPlatform}) {
    const absl::Status status =
        CheckNegotiated(kOfferedFeatures, kOfferedFeatures & ~Bit(bit));
    EXPECT_NE(status.message().find(FeatureNames(Bit(bit))), std::string::npos);
  }
  EXPECT_FALSE(CheckNegotiated(kOfferedFeatures, 0).ok());
}

TEST(FeaturesTest, Row3_CoalescingNeedsTheControlQueue) {
  for (const unsigned bit : {kFeatureNotfCoal, kFeatureVqNotfCoal}) {
    EXPECT_FALSE(CheckNegotiated(kOfferedFeatures, kLeast | Bit(bit)).ok());
    EXPECT_TRUE(CheckNegotiated(kOfferedFeatures,
                                kLeast | Bit(bit) | Bit(kFeatureCtrlVq))
                    .ok());
  }
}

TEST(FeaturesTest, WithoutControlQueueTakesNothingElse) {
  EXPECT_EQ(WithoutControlQueue(kOfferedFeatures),
            kOfferedFeatures & ~(Bit(kFeatureCtrlVq) | Bit(kFeatureNotfCoal) |
                                 Bit(kFeatureVqNotfCoal)));
  EXPECT_EQ(WithoutControlQueue(kLeast), kLeast);
}

TEST(FeaturesTest, AProfileStaysWhatItWasReleasedAs) {
  const auto names = [](const char* profile) {
    return FeatureNames(FindProfile(profile)->features);
  };
  EXPECT_EQ(names("v1"),
            "MTU MAC MRG_RXBUF STATUS CTRL_VQ INDIRECT_DESC EVENT_IDX "
            "VERSION_1 ACCESS_PLATFORM VQ_NOTF_COAL NOTF_COAL");
  EXPECT_EQ(names("v1-no-cvq"),
            "MTU MAC MRG_RXBUF STATUS INDIRECT_DESC EVENT_IDX VERSION_1 "
            "ACCESS_PLATFORM");
  EXPECT_EQ(FindProfile("v0"), nullptr);
  EXPECT_EQ(FindProfile(""), nullptr);
}

TEST(FeaturesTest, ThisReleaseCanOfferEveryProfile) {
  for (const Profile& profile : Profiles()) {
    EXPECT_EQ(profile.features & ~kOfferedFeatures, 0U) << profile.name;
    EXPECT_TRUE(CheckNegotiated(profile.features, profile.features).ok());
  }
}

TEST(FeaturesTest, NamesAreListedFromTheLowestBit) {
  EXPECT_EQ(FeatureNames(0), "");
  EXPECT_EQ(FeatureNames(Bit(kFeatureNotfCoal) | Bit(kFeatureMtu) | Bit(63)),
            "MTU NOTF_COAL bit_63");
}

}  // namespace
}  // namespace net
