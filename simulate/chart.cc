// SPDX-License-Identifier: Apache-2.0
#include "simulate/chart.h"

#include <errno.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string_view>
#include <utility>

namespace simulate {
namespace {

constexpr double kLeft = 80;
constexpr double kTop = 40;
constexpr double kWidth = 560;
constexpr double kHeight = 340;
constexpr double kBottom = kTop + kHeight;
constexpr int kTicks = 5;  // of an axis; it may have a few more

std::string Escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

// The step, 1, 2 or 5 times a power of 10, that divides `most` into about
// kTicks parts.
double StepFor(double most) {
  const double rough = most / kTicks;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (rough <= factor * power) return factor * power;
  }
  return 10 * power;
}

// One axis; At() maps a value to a position from 0 to 1.
struct Axis {
  explicit Axis(double most) : step(StepFor(most > 0 ? most : 1)) {
    end = std::ceil(std::max(most, step) * 1.05 / step) * step;
  }
  double step;
  double end;
  double At(double value) const { return value / end; }
  int ticks() const { return static_cast<int>(std::lround(end / step)); }
};

// Maps values to positions on the drawing.
struct Scale {
  Axis x;
  Axis y;

  explicit Scale(const Chart& chart) : Scale(Most(chart)) {}
  double X(double value) const { return kLeft + kWidth * x.At(value); }
  double Y(double value) const { return kBottom - kHeight * y.At(value); }

 private:
  using Pair = std::pair<double, double>;

  explicit Scale(Pair most) : x(most.first), y(most.second) {}
  static Pair Most(const Chart& chart) {
    Pair most{};
    const auto include = [&](double at_x, double at_y) {
      most = {std::max(most.first, at_x), std::max(most.second, at_y)};
    };
    for (const Chart::Point& point : chart.points) include(point.x, point.y);
    for (const Chart::Line& line : chart.lines) {
      for (const auto& [at_x, at_y] : line.points) include(at_x, at_y);
    }
    return most;
  }
};

// The title, the grid, and the texts of the axes.
std::string Frame(const Chart& chart, const Scale& scale) {
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      "<text x=\"{}\" y=\"24\" font-weight=\"bold\">{}</text>\n",
      kLeft + kWidth + 110, kBottom + 60, kLeft, Escaped(chart.title));
  for (int tick = 0; tick <= scale.x.ticks(); ++tick) {
    const double value = tick * scale.x.step;
    svg += fmt::format(
        "<path d=\"M{0:.1f} {1}V{2}\" stroke=\"#dddddd\"/>\n"
        "<text x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4:g}</text>\n",
        scale.X(value), kTop, kBottom, kBottom + 18, value);
  }
  for (int tick = 0; tick <= scale.y.ticks(); ++tick) {
    const double value = tick * scale.y.step;
    const double at = scale.Y(value);
    svg += fmt::format(
        "<path d=\"M{1} {0:.1f}H{2}\" stroke=\"#dddddd\"/>\n"
        "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:g}</text>\n",
        at, kLeft, kLeft + kWidth, kLeft - 6, at + 4, value);
  }
  return svg + fmt::format(
                   "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n"
                   "<text transform=\"translate(16 {}) rotate(-90)\" "
                   "text-anchor=\"middle\">{}</text>\n",
                   kLeft + kWidth / 2, kBottom + 42, Escaped(chart.x_text),
                   kTop + kHeight / 2, Escaped(chart.y_text));
}

// A line, with its name at its end.
std::string Path(const Chart::Line& line, const Scale& scale) {
  std::string path;
  double at_x = 0;
  double at_y = 0;
  for (const auto& [x, y] : line.points) {
    at_x = scale.X(x);
    at_y = scale.Y(y);
    path +=
        fmt::format("{}{:.1f} {:.1f}", path.empty() ? 'M' : 'L', at_x, at_y);
  }
  return fmt::format(
      "<path d=\"{}\" stroke=\"#808080\" fill=\"none\"/>\n"
      "<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
      path, at_x + 8, at_y + 4, Escaped(line.name));
}

std::string Dot(const Chart::Point& point, const Scale& scale) {
  const double at_x = scale.X(point.x);
  const double at_y = scale.Y(point.y);
  return fmt::format(
      "<circle cx=\"{0:.1f}\" cy=\"{1:.1f}\" r=\"{2}\" fill=\"{3}\"/>\n"
      "<text x=\"{4:.1f}\" y=\"{5:.1f}\">{6}</text>\n",
      at_x, at_y, point.marked ? 6 : 4, point.marked ? "#d98c3f" : "#2f6f9f",
      at_x + 8, at_y - 4, Escaped(point.name));
}

}  // namespace

std::string ToSvg(const Chart& chart) {
  const Scale scale(chart);
  std::string svg = Frame(chart, scale);
  for (const Chart::Line& line : chart.lines) svg += Path(line, scale);
  for (const Chart::Point& point : chart.points) svg += Dot(point, scale);
  return svg + "</svg>\n";
}

absl::Status WriteSvg(const std::string& path, const std::string& svg) {
  std::ofstream file(path, std::ios::binary);
  file << svg;
  file.close();
  return file ? absl::OkStatus() : absl::ErrnoToStatus(errno, "write " + path);
}

}  // namespace simulate
