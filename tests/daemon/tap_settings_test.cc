// SPDX-License-Identifier: Apache-2.0
#include "daemon/tap_settings.h"

#include <gtest/gtest.h>

#include "tests/support/instant.h"

namespace program {
namespace {

using Values = TapSettings::Values;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Values kOne = {.offloads = 1, .queues = 1};
constexpr Values kTwo = {.offloads = 2, .queues = 1};
const absl::Status kRefused = absl::InvalidArgumentError("TUNSETOFFLOAD 0x1");

class TapSettingsTest : public testing::Test {
 protected:
  TapSettingsTest() { settings_.Start(Values{}); }

  std::optional<Values> Next(const Values& wanted) {
    return settings_.Next(wanted, now_);
  }
  bool Answer(const absl::Status& status) {
    return settings_.OnAnswer(status, now_);
  }

  TapSettings settings_;
  net::Instant now_ = tests::At(seconds(100));
};

TEST_F(TapSettingsTest, WhatIsInForceIsNotAskedFor) {
  EXPECT_EQ(Next(Values{}), std::nullopt);
  EXPECT_EQ(Next(kOne), kOne);
  EXPECT_FALSE(Answer(absl::OkStatus()));
  EXPECT_EQ(Next(kOne), std::nullopt);
  EXPECT_EQ(settings_.retry_at(), std::nullopt);
}

TEST_F(TapSettingsTest, OneRequestAtATimeAndTheLatestCounts) {
  EXPECT_EQ(Next(kOne), kOne);
  EXPECT_EQ(Next(kTwo), std::nullopt);
  Answer(absl::OkStatus());
  EXPECT_EQ(Next(kTwo), kTwo);
}

TEST_F(TapSettingsTest, WhatWasRefusedIsAskedForAgainUntilItIsInForce) {
  EXPECT_EQ(Next(kOne), kOne);
  EXPECT_TRUE(Answer(kRefused));
  EXPECT_EQ(settings_.why(), "TUNSETOFFLOAD 0x1");
  EXPECT_EQ(Next(kOne), std::nullopt) << "not at once";
  EXPECT_EQ(settings_.retry_at(), now_ + TapSettings::kFirstPause);
  now_ += TapSettings::kFirstPause;
  EXPECT_EQ(Next(kOne), kOne);
  EXPECT_FALSE(Answer(kRefused)) << "said already";
  now_ = *settings_.retry_at();
  EXPECT_EQ(Next(kOne), kOne);
  EXPECT_TRUE(Answer(absl::OkStatus())) << "worth a word, too";
  EXPECT_EQ(settings_.why(), "");
  EXPECT_EQ(settings_.retry_at(), std::nullopt);
}

TEST_F(TapSettingsTest, ThePauseBetweenTriesIsBounded) {
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(Next(kOne), kOne) << i;
    Answer(kRefused);
    const net::Duration pause = *settings_.retry_at() - now_;
    EXPECT_GE(pause, TapSettings::kFirstPause);
    EXPECT_LE(pause, TapSettings::kLongestPause);
    now_ += pause;
  }
}

TEST_F(TapSettingsTest, AnotherWishDoesNotWait) {
  Next(kOne);
  Answer(kRefused);
  EXPECT_EQ(Next(kTwo), kTwo);
  Answer(absl::OkStatus());
  EXPECT_EQ(Next(kOne), kOne) << "and the first is tried again after it";
}

TEST_F(TapSettingsTest, AfterARefusalNothingIsTakenToBeInForce) {
  Next(kOne);
  Answer(kRefused);
  EXPECT_EQ(Next(Values{}), Values{});
}

TEST_F(TapSettingsTest, ANewTapBeginsAnew) {
  Next(kOne);
  settings_.Start(std::nullopt);
  EXPECT_EQ(Next(kOne), kOne);
}

}  // namespace
}  // namespace program
