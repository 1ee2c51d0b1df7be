// SPDX-License-Identifier: Apache-2.0
#include "net/wire/features.h"

#include <gtest/gtest.h>
#include <linux/virtio_config.h>

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

TEST(FeaturesTest, Row60_PackedRingsAreNeitherOfferedNorAccepted) {
  constexpr uint64_t kPacked = Bit(VIRTIO_F_RING_PACKED);
  EXPECT_EQ(kOfferedFeatures & kPacked, 0U);
  EXPECT_FALSE(
      CheckNegotiated(kOfferedFeatures, kOfferedFeatures | kPacked).ok());
}

TEST(FeaturesTest, Row2_TheLeastMustBeAccepted) {
  for (const unsigned bit : {kFeatureVersion1, kFeatureAccessPlatform}) {
    const absl::Status status =
        CheckNegotiated(kOfferedFeatures, kOfferedFeatures & ~Bit(bit));
    EXPECT_NE(status.message().find(FeatureNames(Bit(bit))), std::string::npos);
  }
  EXPECT_FALSE(CheckNegotiated(kOfferedFeatures, 0).ok());
}

TEST(FeaturesTest, Row3_WhatHasCommandsNeedsTheControlQueue) {
  for (const unsigned bit :
       {kFeatureNotfCoal, kFeatureVqNotfCoal, kFeatureCtrlRx, kFeatureCtrlVlan,
        kFeatureCtrlRxExtra, kFeatureGuestAnnounce, kFeatureCtrlMacAddr,
        kFeatureDeviceStats}) {
    EXPECT_FALSE(CheckNegotiated(kOfferedFeatures, kLeast | Bit(bit)).ok());
    EXPECT_TRUE(CheckNegotiated(kOfferedFeatures,
                                kLeast | Bit(bit) | Bit(kFeatureCtrlVq))
                    .ok());
  }
}

TEST(FeaturesTest, Row3_SegmentationNeedsTheChecksum) {
  const auto accepts = [](uint64_t features) {
    return CheckNegotiated(kOfferedFeatures, kLeast | features).ok();
  };
  for (const unsigned bit :
       {kFeatureHostTso4, kFeatureHostTso6, kFeatureHostUso}) {
    EXPECT_FALSE(accepts(Bit(bit))) << bit;
    EXPECT_FALSE(accepts(Bit(bit) | Bit(kFeatureGuestCsum))) << bit;
    EXPECT_TRUE(accepts(Bit(bit) | Bit(kFeatureCsum))) << bit;
  }
  for (const unsigned bit : {kFeatureGuestTso4, kFeatureGuestTso6,
                             kFeatureGuestUso4, kFeatureGuestUso6}) {
    EXPECT_FALSE(accepts(Bit(bit))) << bit;
    EXPECT_FALSE(accepts(Bit(bit) | Bit(kFeatureCsum))) << bit;
    EXPECT_TRUE(accepts(Bit(bit) | Bit(kFeatureGuestCsum))) << bit;
  }
}

TEST(FeaturesTest, Row3_EcnNeedsEitherTso) {
  const uint64_t csum = kLeast | Bit(kFeatureCsum) | Bit(kFeatureGuestCsum);
  const auto accepts = [&](uint64_t features) {
    return CheckNegotiated(kOfferedFeatures, csum | features).ok();
  };
  EXPECT_FALSE(accepts(Bit(kFeatureHostEcn)));
  EXPECT_TRUE(accepts(Bit(kFeatureHostEcn) | Bit(kFeatureHostTso4)));
  EXPECT_TRUE(accepts(Bit(kFeatureHostEcn) | Bit(kFeatureHostTso6)));
  EXPECT_FALSE(accepts(Bit(kFeatureHostEcn) | Bit(kFeatureGuestTso4)));
  EXPECT_FALSE(accepts(Bit(kFeatureGuestEcn)));
  EXPECT_TRUE(accepts(Bit(kFeatureGuestEcn) | Bit(kFeatureGuestTso4)));
  EXPECT_TRUE(accepts(Bit(kFeatureGuestEcn) | Bit(kFeatureGuestTso6)));
}

TEST(FeaturesTest, WithoutControlQueueTakesNothingElse) {
  EXPECT_EQ(WithoutControlQueue(kOfferedFeatures),
            kOfferedFeatures &
                ~(Bit(kFeatureCtrlVq) | Bit(kFeatureMq) |
                  Bit(kFeatureCtrlGuestOffloads) | Bit(kFeatureNotfCoal) |
                  Bit(kFeatureVqNotfCoal) | Bit(kFeatureGuestAnnounce) |
                  Bit(kFeatureDeviceStats) | kFilterFeatures));
  EXPECT_EQ(WithoutControlQueue(kLeast), kLeast);
}

TEST(FeaturesTest, WithoutOneGoesWhatNeedsIt) {
  EXPECT_EQ(Without(kOfferedFeatures, Bit(kFeatureCsum)),
            kOfferedFeatures & ~kHostOffloads);
  EXPECT_EQ(Without(kOfferedFeatures, Bit(kFeatureGuestCsum)),
            kOfferedFeatures & ~kGuestOffloads);
  EXPECT_EQ(Without(kOfferedFeatures, Bit(kFeatureHostTso4)),
            kOfferedFeatures & ~Bit(kFeatureHostTso4));
  EXPECT_EQ(
      Without(kOfferedFeatures,
              Bit(kFeatureGuestTso4) | Bit(kFeatureGuestTso6)),
      kOfferedFeatures & ~(Bit(kFeatureGuestTso4) | Bit(kFeatureGuestTso6) |
                           Bit(kFeatureGuestEcn)));
}

TEST(FeaturesTest, NamesAreReadBack) {
  for (unsigned bit = 0; bit < 64; ++bit) {
    if (!Has(kOfferedFeatures, bit)) continue;
    const auto read = ParseFeatureNames(FeatureNames(Bit(bit)));
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(*read, Bit(bit));
  }
  EXPECT_EQ(*ParseFeatureNames("MAC,CSUM"),
            Bit(kFeatureMac) | Bit(kFeatureCsum));
  EXPECT_EQ(*ParseFeatureNames(""), 0U);
  for (const char* bad : {"mac", "MAC ", "MAC,,CSUM", ",MAC", "bit_40", "MA"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseFeatureNames(bad).status()))
        << bad;
  }
  EXPECT_FALSE(Optional(Bit(kFeatureVersion1) | Bit(kFeatureMac)));
  EXPECT_TRUE(Optional(kHostOffloads));
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
  EXPECT_EQ(
      names("v2"),
      "CSUM GUEST_CSUM CTRL_GUEST_OFFLOADS MTU MAC GUEST_TSO4 GUEST_TSO6 "
      "GUEST_ECN HOST_TSO4 HOST_TSO6 HOST_ECN MRG_RXBUF STATUS CTRL_VQ CTRL_RX "
      "CTRL_VLAN CTRL_RX_EXTRA GUEST_ANNOUNCE MQ CTRL_MAC_ADDR INDIRECT_DESC "
      "EVENT_IDX VERSION_1 ACCESS_PLATFORM DEVICE_STATS VQ_NOTF_COAL NOTF_COAL "
      "GUEST_USO4 GUEST_USO6 HOST_USO SPEED_DUPLEX");
  EXPECT_EQ(
      names("v2-no-cvq"),
      "CSUM GUEST_CSUM MTU MAC GUEST_TSO4 GUEST_TSO6 GUEST_ECN HOST_TSO4 "
      "HOST_TSO6 HOST_ECN MRG_RXBUF STATUS INDIRECT_DESC EVENT_IDX VERSION_1 "
      "ACCESS_PLATFORM GUEST_USO4 GUEST_USO6 HOST_USO SPEED_DUPLEX");
  // QEMU judges what is offered: it does not migrate with any of the rest.
  EXPECT_EQ(
      FindProfile("qemu-migrate")->features,
      FindProfile("v2")->features &
          ~(Bit(kFeatureGuestAnnounce) | Bit(kFeatureDeviceStats) |
            Bit(kFeatureVqNotfCoal) | Bit(kFeatureNotfCoal) | kUsoFeatures));
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
  EXPECT_EQ(FeatureNames(Bit(kFeatureNotfCoal) | Bit(kFeatureMtu) | Bit(62)),
            "MTU NOTF_COAL bit_62");
}

}  // namespace
}  // namespace net
