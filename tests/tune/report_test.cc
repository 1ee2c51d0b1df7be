// SPDX-License-Identifier: Apache-2.0
#include "tune/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tune {
namespace {

using coalesce::Direction;
using testing::HasSubstr;

// 32/64 is better than nothing; `notifications` of 1000 packets with it.
Side With(Direction direction, uint64_t notifications) {
  const Window off = {
      .seconds = 1, .packets = 1000, .notifications = 1000, .waited_ns = 0};
  const Window on = {.seconds = 1,
                     .packets = 1000,
                     .notifications = notifications,
                     .waited_ns = 20'000'000};
  return {.direction = direction,
          .verdict = Compare({{.params = {}, .windows = {off, off}},
                              {.params = {.max_packets = 64, .max_usecs = 32},
                               .windows = {on, on}}},
                             50)};
}

TEST(TuneReportTest, TheWordsAreEthtoolsAndOfTheChoicesAlone) {
  const Side rx = With(Direction::kRx, 100);
  const Side tx = With(Direction::kTx, 100);
  EXPECT_EQ(Words({rx}), "rx-usecs 32 rx-frames 64");
  EXPECT_EQ(Words({rx, tx}),
            "rx-usecs 32 rx-frames 64 tx-usecs 32 tx-frames 64");
  EXPECT_EQ(Words({With(Direction::kRx, 1000), tx}),
            "tx-usecs 32 tx-frames 64");
  EXPECT_EQ(Words({With(Direction::kRx, 1000)}), "");
}

TEST(TuneReportTest, TheTableHasTheChoiceOrWhyThereIsNone) {
  const std::string table = ToTable(With(Direction::kRx, 100));
  EXPECT_THAT(table, HasSubstr("\noff "));
  EXPECT_THAT(table, HasSubstr("0.1000..0.1000"));
  EXPECT_THAT(table, HasSubstr("\nrx: 32/64 is recommended\n"));
  const Side none = With(Direction::kTx, 1000);
  EXPECT_THAT(
      ToTable(none),
      HasSubstr("\ntx: no recommendation: " + none.verdict.reason + "\n"));
}

TEST(TuneReportTest, JsonHasAllOfIt) {
  const nlohmann::json json = ToJson(With(Direction::kTx, 100));
  EXPECT_EQ(json["direction"], "tx");
  EXPECT_EQ(json["recommended"], 1);
  EXPECT_FALSE(json.contains("reason"));
  const nlohmann::json& result = json["results"][1];
  EXPECT_EQ(result["usecs"], 32);
  EXPECT_EQ(result["frames"], 64);
  EXPECT_EQ(result["notifications_per_packet"]["median"], 0.1);
  EXPECT_EQ(result["mean_wait_usecs"]["most"], 20);
  EXPECT_EQ(result["on_front"], true);
  EXPECT_TRUE(ToJson(With(Direction::kTx, 1000)).contains("reason"));
}

TEST(TuneReportTest, TheChartNamesBothDirections) {
  const std::string chart =
      ToChart({With(Direction::kRx, 100), With(Direction::kTx, 100)}, "vn0");
  for (const char* name : {">vn0<", ">rx off<", ">rx 32/64<", ">tx 32/64<"}) {
    EXPECT_THAT(chart, HasSubstr(name));
  }
}

}  // namespace
}  // namespace tune
