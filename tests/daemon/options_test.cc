// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include <gtest/gtest.h>

#include <string>

#include "cli/option_checks.h"
#include "daemon/device_setup.h"
#include "net/wire/features.h"

namespace program {
namespace {

TEST(CheckQueueSizeTest, SizesThatLinuxCanWorkWithAreTaken) {
  for (const char* text : {"32", "64", "256", "32768"}) {
    EXPECT_TRUE(CheckQueueSize(text).ok()) << text;
  }
}

TEST(CheckQueueSizeTest, SmallerOnesAreRefusedWithTheReason) {
  for (const char* text : {"2", "4", "8", "16"}) {
    const absl::Status status = CheckQueueSize(text);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_NE(status.message().find("fewer than 19 free"), std::string::npos);
  }
}

TEST(CheckQueueSizeTest, WhatIsNoSizeIsRefusedWithTheText) {
  for (const std::string text :
       {"", "0", "1", "33", "255", "65536", "-32", "32x", "4294967328", "x"}) {
    const absl::Status status = CheckQueueSize(text);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_NE(status.message().find("queue size " + text + " is not"),
              std::string::npos)
        << text;
  }
}

TEST(ParseMacTest, AnAddressIsReadByteByByte) {
  const auto mac = ParseMac("52:54:00:12:34:ff");
  ASSERT_TRUE(mac.ok()) << mac.status();
  EXPECT_EQ(*mac, (net::MacAddress{0x52, 0x54, 0x00, 0x12, 0x34, 0xff}));
}

TEST(ParseMacTest, UpperCaseIsAsGood) {
  const auto mac = ParseMac("AE:bC:00:00:00:0F");
  ASSERT_TRUE(mac.ok()) << mac.status();
  EXPECT_EQ(FormatMac(*mac), "ae:bc:00:00:00:0f");
}

TEST(ParseMacTest, WhatIsNoAddressIsRefusedWithTheText) {
  for (const std::string text :
       {"", "52:54:00:12:34", "52:54:00:12:34:5", "52:54:00:12:34:567",
        "52-54-00-12-34-56", "52:54:00:12:34:5g", "5 :54:00:12:34:56",
        "+2:54:00:12:34:56", "-2:54:00:12:34:56", "0x:54:00:12:34:56",
        "52:54:00:12:34 56", "52:54:00:12:34::6", ":2:54:00:12:34:56",
        "5254:00:12:34:56:", "52:54:00:12:34:56 "}) {
    const auto mac = ParseMac(text);
    EXPECT_TRUE(absl::IsInvalidArgument(mac.status())) << text;
    EXPECT_NE(mac.status().message().find(text), std::string::npos) << text;
  }
}

TEST(ParseMacTest, Row110_MulticastAndZeroAreNoAddressOfADevice) {
  for (const char* text :
       {"01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseDeviceMac(text).status())) << text;
    EXPECT_TRUE(ParseMac(text).ok()) << text;
  }
  EXPECT_TRUE(ParseDeviceMac("52:54:00:12:34:56").ok());
  EXPECT_FALSE(ParseDeviceMac("52:54:00:12:34").ok());
}

TEST(ParseCpusTest, ListsAndRangesInOrder) {
  // CPU 0 and what else there is.
  EXPECT_EQ(ParseCpus("0").value(), std::vector<int>{0});
  EXPECT_EQ(ParseCpus("0-0,0").value(), (std::vector<int>{0, 0}));
}

TEST(ParseCpusTest, WhatIsNoneIsRefused) {
  for (const char* text : {"", ",", "0,", "x", "0-", "-1", "1-0", "0 ", "0;1",
                           "1023", "4096", "99999999999"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseCpus(text).status())) << text;
  }
}

TEST(RandomMacTest, ItIsAUnicastAddressOfNoVendor) {
  for (int i = 0; i < 1000; ++i) {
    const net::MacAddress mac = RandomMac();
    EXPECT_EQ(mac[0] & 3, 2);
    const auto parsed = ParseDeviceMac(FormatMac(mac));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, mac);
  }
}

TEST(RandomMacTest, TwoDevicesDiffer) { EXPECT_NE(RandomMac(), RandomMac()); }

TEST(TapNameTest, OnlyWhatLinuxTakesForAnInterfaceIsAName) {
  for (const char* name :
       {"t", "tap0", "fifteen-letters", "tap.1", "t\xc3\xa9"}) {
    EXPECT_TRUE(CheckTapName(name).ok()) << name;
  }
  for (const char* name :
       {"", ".", "..", "all", "default", "tap%d", "a/b", "a:b", "a b", "a\tb",
        "a\x7f", "a\xa0", "sixteen-letters-"}) {
    const absl::Status status = CheckTapName(name);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << name;
    EXPECT_NE(status.message().find(name), std::string::npos) << name;
  }
}

TEST(CoalescingWarningsTest, WhatHasNoEffectIsSaid) {
  RunOptions options;
  EXPECT_TRUE(CoalescingWarnings(options).empty());
  options.rx.params = {.max_packets = 64, .max_usecs = 100};
  EXPECT_TRUE(CoalescingWarnings(options).empty());
  options.tx.params.max_usecs = 50;
  ASSERT_EQ(CoalescingWarnings(options).size(), 1U);
  EXPECT_NE(CoalescingWarnings(options)[0].find(
                "--tx-usecs 50 has no effect without --tx-frames"),
            std::string::npos);
  options.rx.goal = coalesce::Goal{};
  ASSERT_EQ(CoalescingWarnings(options).size(), 2U);
  EXPECT_NE(CoalescingWarnings(options)[0].find("beside a goal"),
            std::string::npos);
}

TEST(PlanDeviceTest, AProfileMayBeHadWithoutSomeOfIt) {
  RunOptions options;
  options.profile = "v2";
  options.without = net::Bit(net::kFeatureIndirectDesc);
  const auto plan = PlanDevice(options);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->features, net::FindProfile("v2")->features &
                                ~net::Bit(net::kFeatureIndirectDesc));
  options.without = net::Bit(net::kFeatureCtrlVq);
  EXPECT_EQ(PlanDevice(options)->features,
            net::FindProfile("v2-no-cvq")->features)
      << "with what depends on it";
}

}  // namespace
}  // namespace program
