// SPDX-License-Identifier: Apache-2.0
#include "vduse/device_name.h"

#include <gtest/gtest.h>

#include <string>

namespace vduse {
namespace {

using std::string_literals::operator""s;

TEST(DeviceNameTest, UsualNamesAreAllowed) {
  for (const std::string& name :
       {"vn0"s, "0"s, "net-a_b.c:d@e+f"s, "Control"s, "control0"s, "_"s,
        std::string(kMaxDeviceNameBytes, 'n')}) {
    EXPECT_TRUE(CheckDeviceName(name).ok()) << name;
  }
}

TEST(DeviceNameTest, NamesThatLeadElsewhereAreRefused) {
  for (const std::string& name :
       {""s, "."s, ".."s, "control"s, "../../tmp/x"s, "a/b"s, "/"s, "a!b"s,
        ".hidden"s, "-v"s, "a b"s, "a\nb"s, "a\0b"s, "a\x7f"s, "\xc3\xa9"s,
        "a%d"s, "a*"s, std::string(kMaxDeviceNameBytes + 1, 'n')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckDeviceName(name))) << name;
  }
}

TEST(DeviceNameTest, TheErrorNamesItInOnePrintableLine) {
  const auto text = [](const std::string& name) {
    return std::string(CheckDeviceName(name).message());
  };
  EXPECT_NE(text("a/b").find("'a/b'"), std::string::npos);
  EXPECT_NE(text("a\nb").find("'a?b'"), std::string::npos);
  EXPECT_LT(text(std::string(100'000, 'n')).size(), 200U);
}

}  // namespace
}  // namespace vduse
