// SPDX-License-Identifier: Apache-2.0
#include "net/wire/mac_address.h"

#include <gtest/gtest.h>

#include <string>

namespace net {
namespace {

TEST(ParseMacTest, AnAddressIsReadByteByByte) {
  const auto mac = ParseMac("52:54:00:12:34:ff");
  ASSERT_TRUE(mac.ok()) << mac.status();
  EXPECT_EQ(*mac, (MacAddress{0x52, 0x54, 0x00, 0x12, 0x34, 0xff}));
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

TEST(RandomMacTest, ItIsAUnicastAddressOfNoVendor) {
  for (int i = 0; i < 1000; ++i) {
    const MacAddress mac = RandomMac();
    EXPECT_EQ(mac[0] & 3, 2);
    const auto parsed = ParseDeviceMac(FormatMac(mac));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, mac);
  }
}

TEST(RandomMacTest, TwoDevicesDiffer) { EXPECT_NE(RandomMac(), RandomMac()); }

}  // namespace
}  // namespace net
