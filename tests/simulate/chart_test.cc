// SPDX-License-Identifier: Apache-2.0
#include "simulate/chart.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "simulate/report.h"
#include "simulate/setting.h"

namespace simulate {
namespace {

// Where circles are.
std::vector<std::pair<double, double>> Circles(const std::string& svg) {
  std::vector<std::pair<double, double>> found;
  const std::string x_text = "<circle cx=\"";
  const std::string y_text = "\" cy=\"";
  for (size_t at = 0; (at = svg.find(x_text, at)) != std::string::npos;) {
    at += x_text.size();
    const size_t y_at = svg.find(y_text, at) + y_text.size();
    found.emplace_back(std::stod(svg.substr(at)), std::stod(svg.substr(y_at)));
  }
  return found;
}

TEST(ChartTest, ALineGoesThroughItsPointsAndHasItsNameAtTheEnd) {
  const std::string svg = ToSvg(
      {.title = "t",
       .x_text = "x",
       .y_text = "y",
       .points = {{.x = 5, .y = 50, .name = "p"}},
       .lines = {{.name = "theory", .points = {{0, 0}, {5, 50}, {10, 0}}}}});
  const auto at = Circles(svg);
  ASSERT_EQ(at.size(), 1U);
  EXPECT_NE(svg.find(fmt::format("L{:.1f} {:.1f}L", at[0].first, at[0].second)),
            std::string::npos);
  EXPECT_NE(svg.find(">theory<"), std::string::npos);
  EXPECT_NE(svg.find(">10<"), std::string::npos) << "the axes reach its end";
}

TEST(ChartTest, PointsAreInProportion) {
  const auto at =
      Circles(ToSvg({.title = "t",
                     .x_text = "x",
                     .y_text = "y",
                     .points = {{.x = 0, .y = 0, .name = "o"},
                                {.x = 5, .y = 50, .name = "h"},
                                {.x = 10, .y = 100, .name = "f"}}}));
  ASSERT_EQ(at.size(), 3U);
  EXPECT_GT(at[1].first, at[0].first);
  EXPECT_LT(at[1].second, at[0].second) << "upwards";
  EXPECT_NEAR(at[1].first * 2, at[0].first + at[2].first, 0.2);
  EXPECT_NEAR(at[1].second * 2, at[0].second + at[2].second, 0.2);
}

TEST(ChartTest, TextIsEscaped) {
  const std::string svg = ToSvg({.title = "a<b & \"c\"",
                                 .x_text = "",
                                 .y_text = "",
                                 .points = {{.x = 1, .y = 1, .name = "<i>"}}});
  EXPECT_EQ(svg.find("<i>"), std::string::npos);
  EXPECT_NE(svg.find("a&lt;b &amp; &quot;c&quot;"), std::string::npos);
}

TEST(ChartTest, NothingAndZerosAreDrawnAsWell) {
  for (const Chart& chart :
       {Chart{}, Chart{.title = "",
                 .x_text = "",
                 .y_text = "",
                 .points = {{.x = 0, .y = 0, .name = "z"}}}}) {
    const std::string svg = ToSvg(chart);
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.find("inf"), std::string::npos);
    EXPECT_NE(svg.find("</svg>"), std::string::npos);
  }
}

TEST(ReportTest, EachSettingHasItsLineObjectAndPoint) {
  std::vector<Row> rows;
  for (const char* setting : {"off", "100/64", "rate:1000"}) {
    rows.push_back({.setting = ParseSetting(setting).value(),
                    .outcome = std::make_unique<Outcome>()});
    Replay(Generate("steady:10000", 1000, 1).value(), rows.back().setting, {},
           *rows.back().outcome);
  }
  const std::string table = ToTable(rows);
  const std::string json = ToJson(rows);
  for (const char* setting : {"off", "100/64", "rate:1000"}) {
    EXPECT_NE(table.find(setting), std::string::npos);
    EXPECT_NE(json.find("\"" + std::string(setting) + "\""), std::string::npos);
  }
  EXPECT_NE(table.find("1.0000"), std::string::npos) << "off, per packet";
  EXPECT_EQ(Circles(ToChart(rows, "title")).size(), 3U);
}

}  // namespace
}  // namespace simulate
