// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_SIMULATE_REPORT_H_
#define VDUSE_NET_SIMULATE_REPORT_H_

#include <memory>
#include <string>
#include <vector>

#include "coalesce/coalescer.h"
#include "simulate/replay.h"

namespace simulate {

// One setting and the outcome of its replay.
struct Row {
  coalesce::Setting setting;
  std::unique_ptr<Outcome> outcome;
};

// A table for people, with one line for each row.
std::string ToTable(const std::vector<Row>& rows);

// A JSON array, with one object for each row.
std::string ToJson(const std::vector<Row>& rows);

// Notifications per second against the mean added latency, as SVG.
std::string ToChart(const std::vector<Row>& rows, const std::string& title);

}  // namespace simulate

#endif  // VDUSE_NET_SIMULATE_REPORT_H_
