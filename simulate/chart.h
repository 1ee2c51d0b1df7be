// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_SIMULATE_CHART_H_
#define VDUSE_NET_SIMULATE_CHART_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace simulate {

// Points, and lines, with their names, as an SVG picture. Both axes begin at 0
// and end a little above the largest value; neither is to be negative.
struct Chart {
  struct Point {
    double x = 0;
    double y = 0;
    std::string name;
    bool marked = false;  // drawn so that it is seen first
  };

  // Through points in this order; its name is at the end.
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
