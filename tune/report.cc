// SPDX-License-Identifier: Apache-2.0
#include "tune/report.h"

#include <fmt/format.h>

#include "simulate/chart.h"
#include "simulate/setting.h"

namespace tune {
namespace {

std::string SettingName(const Result& result) {
  return simulate::FormatSetting(result.params);
}

nlohmann::json ToJson(const Figure& figure) {
  return {{"median", figure.median},
          {"least", figure.least},
          {"most", figure.most}};
}

}  // namespace

std::string ToTable(const Side& side) {
  const char* name = DirectionName(side.direction);
  const Verdict& verdict = side.verdict;
  std::string text =
      fmt::format("{:<12}{:>12}{:>12}{:>18}{:>12}{:>18}\n", name, "packets/s",
                  "per packet", "least..most", "mean us", "least..most");
  for (const Result& result : verdict.results) {
    const Figure& n = result.notifications_per_packet;
    const Figure& wait = result.wait_usecs;
    text += fmt::format(
        "{:<12}{:>12.0f}{:>12.4f}{:>18}{:>12.1f}{:>18}{}{}\n",
        SettingName(result), result.packets_per_second.median, n.median,
        fmt::format("{:.4f}..{:.4f}", n.least, n.most), wait.median,
        fmt::format("{:.1f}..{:.1f}", wait.least, wait.most),
        result.on_front ? "  front" : "",
        result.slows ? "  slows the traffic" : "");
  }
  if (verdict.choice) {
    text += fmt::format("{}: {} is recommended\n", name,
                        SettingName(verdict.results[*verdict.choice]));
  } else {
    text += fmt::format("{}: no recommendation: {}\n", name, verdict.reason);
  }
  return text;
}

nlohmann::json ToJson(const Side& side) {
  const Verdict& verdict = side.verdict;
  nlohmann::json results = nlohmann::json::array();
  for (const Result& result : verdict.results) {
    results.push_back(
        {{"usecs", result.params.max_usecs},
         {"frames", result.params.max_packets},
         {"packets_per_second", ToJson(result.packets_per_second)},
         {"notifications_per_packet", ToJson(result.notifications_per_packet)},
         {"mean_wait_usecs", ToJson(result.wait_usecs)},
         {"slows", result.slows},
         {"on_front", result.on_front}});
  }
  nlohmann::json json = {{"direction", DirectionName(side.direction)},
                         {"results", std::move(results)}};
  if (verdict.choice) {
    json["recommended"] = *verdict.choice;
  } else {
    json["reason"] = verdict.reason;
  }
  return json;
}

std::string ToChart(const std::vector<Side>& sides, const std::string& title) {
  simulate::Chart chart{.title = title,
                        .x_text = "wait of a packet, mean, microseconds",
                        .y_text = "notifications per packet",
                        .points = {}};
  for (const Side& side : sides) {
    for (const Result& result : side.verdict.results) {
      chart.points.push_back(
          {.x = result.wait_usecs.median,
           .y = result.notifications_per_packet.median,
           .name = fmt::format("{} {}", DirectionName(side.direction),
                               SettingName(result)),
           .marked = result.on_front});
    }
  }
  return simulate::ToSvg(chart);
}

std::string Words(const std::vector<Side>& sides) {
  std::string words;
  for (const Side& side : sides) {
    if (!side.verdict.choice) continue;
    const coalesce::Params& params =
        side.verdict.results[*side.verdict.choice].params;
    words += fmt::format(
        "{0}{1}-usecs {2} {1}-frames {3}", words.empty() ? "" : " ",
        DirectionName(side.direction), params.max_usecs, params.max_packets);
  }
  return words;
}

}  // namespace tune
