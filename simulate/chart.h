// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_SIMULATE_CHART_H_
#define VDUSE_NET_SIMULATE_CHART_H_

#include <string>
#include <vector>

namespace simulate {

// Points with their names, as an SVG picture. Both axes begin at 0 and end a
// little above the largest value; neither is to be negative.
struct Chart {
  struct Point {
    double x = 0;
    double y = 0;
    std::string name;
    bool marked = false;  // drawn so that it is seen first
  };

  std::string title;
  std::string x_text;
  std::string y_text;
  std::vector<Point> points;
};

std::string ToSvg(const Chart& chart);

}  // namespace simulate

#endif  // VDUSE_NET_SIMULATE_CHART_H_
