// SPDX-License-Identifier: Apache-2.0
#include "cli/explain_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/cli/words.h"

namespace cli {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

std::vector<Explanation> Explain(const std::string& line) {
  CoalesceChange change;
  const absl::Status status = ParseSettings(WordsOf(line), change);
  EXPECT_TRUE(status.ok()) << status;
  return ExplainSettings(change);
}

Explanation ExplainOne(const std::string& line) {
  const std::vector<Explanation> all = Explain(line);
  EXPECT_THAT(all, SizeIs(1));
  return all.empty() ? Explanation() : all.front();
}

TEST(ExplainCommandTest, TheBoundsOfBothNumbersAreSaid) {
  const Explanation rx = ExplainOne("rx-usecs 50 rx-frames 32");
  EXPECT_TRUE(rx.coalesces);
  EXPECT_EQ(rx.max_wait_usecs, 50U);
  EXPECT_EQ(rx.max_timer_rate, 20'000U);
  EXPECT_EQ(rx.full_batch_rate, 640'000U);
  EXPECT_THAT(rx.sentences, Contains(HasSubstr("32 packets wait, or 50")));
}

TEST(ExplainCommandTest, RatesAreRoundedUp) {
  const Explanation rx = ExplainOne("rx-usecs 3 rx-frames 2");
  EXPECT_EQ(rx.max_timer_rate, 333'334U);
  EXPECT_EQ(rx.full_batch_rate, 666'667U);
}

TEST(ExplainCommandTest, OneNumberDoesNotCoalesce) {
  const Explanation rx = ExplainOne("rx-usecs 50");
  EXPECT_FALSE(rx.coalesces);
  EXPECT_EQ(rx.max_wait_usecs, 0U);
  EXPECT_THAT(rx.sentences, AllOf(Contains(HasSubstr("5.1.6.5.9.1")),
                                  Contains(HasSubstr("Add rx-frames"))));
  EXPECT_THAT(ExplainOne("tx-frames 8").sentences,
              Contains(HasSubstr("Add tx-usecs")));
  EXPECT_THAT(ExplainOne("rx-usecs 0 rx-frames 0").sentences,
              Not(Contains(HasSubstr("5.1.6.5.9.1"))));
}

TEST(ExplainCommandTest, ABatchOfOnePacketDoesNotCoalesce) {
  const Explanation rx = ExplainOne("rx-usecs 50 rx-frames 1");
  EXPECT_FALSE(rx.coalesces);
  EXPECT_THAT(rx.sentences, Contains(HasSubstr("a batch is one packet")));
}

TEST(ExplainCommandTest, NapiIsNamedWhereTxFramesAreZero) {
  EXPECT_THAT(ExplainOne("tx-usecs 50 tx-frames 0").sentences,
              Contains(HasSubstr("NAPI")));
  EXPECT_THAT(ExplainOne("tx-usecs 50").sentences,
              Not(Contains(HasSubstr("NAPI"))));
  EXPECT_THAT(ExplainOne("rx-usecs 50 rx-frames 0").sentences,
              Not(Contains(HasSubstr("NAPI"))));
}

TEST(ExplainCommandTest, TheDevicesOwnBoundIsSaid) {
  const Explanation rx = ExplainOne("rx-usecs 4294967295 rx-frames 4294967295");
  EXPECT_EQ(rx.max_wait_usecs, 1'000'000U);
  EXPECT_EQ(rx.max_timer_rate, 1U);
  EXPECT_EQ(rx.full_batch_rate, 4'294'967'295U);
  EXPECT_THAT(rx.sentences, Contains(HasSubstr("whatever is set")));
}

TEST(ExplainCommandTest, AGoalIsSaidAndNumbersHaveNoEffect) {
  const Explanation rx =
      ExplainOne("adaptive-rx on target-latency-usecs 70 rx-usecs 5");
  EXPECT_TRUE(rx.coalesces);
  EXPECT_THAT(rx.sentences, AllOf(Contains(HasSubstr("70 microseconds")),
                                  Contains(HasSubstr("no effect")),
                                  Contains(HasSubstr("VQ_NOTF_COAL"))));
  EXPECT_THAT(ExplainOne("adaptive-tx on max-irq-rate 8000").sentences,
              AllOf(Contains(HasSubstr("8000 notifications a second")),
                    Contains(HasSubstr("no adaptive-tx"))));
}

TEST(ExplainCommandTest, BothDirectionsAreExplained) {
  const auto all = Explain("tx-usecs 10 rx-usecs 10 rx-frames 4 tx-frames 4");
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].direction, "rx");
  EXPECT_EQ(all[1].direction, "tx");
  EXPECT_THAT(all[1].sentences, Contains(HasSubstr("sent at once")));
}

}  // namespace
}  // namespace cli
