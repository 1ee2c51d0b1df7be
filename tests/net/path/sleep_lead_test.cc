// SPDX-License-Identifier: Apache-2.0
#include "net/path/sleep_lead.h"

#include <gtest/gtest.h>

namespace net {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

double Usecs(const SleepLead& lead) {
  return std::chrono::duration<double, std::micro>(lead.lead()).count();
}

TEST(SleepLeadTest, NothingIsKnownAtFirst) {
  EXPECT_EQ(SleepLead().lead(), Duration::zero());
}

TEST(SleepLeadTest, SleepsThatAreEquallyLateAreAskedToEndSoMuchEarlier) {
  SleepLead lead;
  for (int i = 0; i < 1000; ++i) lead.OnSlept(microseconds(20));
  EXPECT_NEAR(Usecs(lead), 20, 0.5);
}

TEST(SleepLeadTest, FourOfFiveSleepsEndLaterThanThat) {
  SleepLead lead;
  for (int i = 0; i < 10'000; ++i) {
    lead.OnSlept(microseconds(10 + i * 37 % 50));  // 10 to 59
  }
  EXPECT_NEAR(Usecs(lead), 20, 2);
}

TEST(SleepLeadTest, AFewVeryLateSleepsChangeLittle) {
  SleepLead lead;
  for (int i = 0; i < 10'000; ++i) {
    lead.OnSlept(i % 10 == 0 ? milliseconds(5) : Duration(microseconds(20)));
  }
  EXPECT_NEAR(Usecs(lead), 20, 1);
}

TEST(SleepLeadTest, ItComesBackWhenSleepsArePunctualAgain) {
  SleepLead lead;
  for (int i = 0; i < 1000; ++i) lead.OnSlept(microseconds(30));
  for (int i = 0; i < 1000; ++i) lead.OnSlept(microseconds(2));
  EXPECT_LT(lead.lead(), microseconds(3));
}

TEST(SleepLeadTest, WhatIsPolledInVainIsBounded) {
  SleepLead lead;
  for (int i = 0; i < 100'000; ++i) lead.OnSlept(milliseconds(10));
  EXPECT_EQ(lead.lead(), SleepLead::kMost);
}

}  // namespace
}  // namespace net
