// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_SIMULATE_CHART_H_
#define VDUSE_NET_SIMULATE_CHART_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace simulate {

// Named points and lines, to be drawn as an SVG picture. Both axes begin at 0
// and end a little above the largest value. Values must not be negative.
struct Chart {
  struct Point {
    double x = 0;
    double y = 0;
    std::string name;
    bool marked = false;  // drawn so that it stands out
  };

  // Connects points in this order. The name is drawn at the end of the line.
  struct Line {
    std::string name;
    std::vector<std::pair<double, double>> points;
  };

  std::string title;
  std::string x_text;
  std::string y_text;
  std::vector<Point> points;
  std::vector<Line> lines = {};
};

std::string ToSvg(const Chart& chart);

// Writes a picture to a file.
absl::Status WriteSvg(const std::string& path, const std::string& svg);

}  // namespace simulate

#endif  // VDUSE_NET_SIMULATE_CHART_H_
