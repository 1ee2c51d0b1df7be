// SPDX-License-Identifier: Apache-2.0
#include "daemon/adoption_check.h"

#include <gtest/gtest.h>

#include <string>

namespace program {
namespace {

SavedState Saved() {
  SavedState saved;
  saved.mac = {2, 0, 0, 0, 0, 1};
  saved.mtu = 1500;
  saved.queue_size = 256;
  saved.tap_name = "tap0";
  return saved;
}

RunOptions Options() {
  RunOptions options;
  options.name = "vn0";
  options.tap = "tap0";
  return options;
}

// The error names the option and both of its values.
void ExpectRefused(const RunOptions& options, const std::string& option,
                   const std::string& was, const std::string& is) {
  const absl::Status status = FitsDevice(options, Saved());
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << option;
  for (const std::string& text : {option, was, is}) {
    EXPECT_NE(status.message().find(text), std::string::npos)
        << status << " without " << text;
  }
}

TEST(FitsDeviceTest, TheSameOptionsFitAndThoseThatAreLeftOut) {
  RunOptions options = Options();
  EXPECT_TRUE(FitsDevice(options, Saved()).ok());
  options.mac = Saved().mac;
  options.mtu = 1500;
  options.queue_size = 256;
  EXPECT_TRUE(FitsDevice(options, Saved()).ok());
}

TEST(FitsDeviceTest, AnotherTapIsRefused) {
  RunOptions options = Options();
  options.tap = "tap1";
  ExpectRefused(options, "--tap", "tap0", "tap1");
}

TEST(FitsDeviceTest, ATapThatIsNotKnownFits) {
  SavedState saved = Saved();
  saved.tap_name.clear();
  EXPECT_TRUE(FitsDevice(Options(), saved).ok());
}

TEST(FitsDeviceTest, WhatTheDriverHasSeenIsNotChanged) {
  RunOptions options = Options();
  options.mtu = 1400;
  ExpectRefused(options, "--mtu", "1500", "1400");
  options = Options();
  options.mac = net::MacAddress{2, 0, 0, 0, 0, 9};
  ExpectRefused(options, "--mac", "02:00:00:00:00:01", "02:00:00:00:00:09");
  options = Options();
  options.queue_size = 512;
  ExpectRefused(options, "--queue-size", "256", "512");
}

}  // namespace
}  // namespace program
