// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_SIMULATE_REPORT_H_
#define VDUSE_NET_SIMULATE_REPORT_H_

#include <memory>
#include <string>
#include <vector>

#include "coalesce/coalescer.h"
#include "simulate/replay.h"

namespace simulate {

// What one setting came to.
struct Row {
  coalesce::Setting setting;
  std::unique_ptr<Outcome> outcome;
};

// A table for people, a line each.
std::string ToTable(const std::vector<Row>& rows);

// A JSON array, an object each.
std::string ToJson(const std::vector<Row>& rows);

// Notifications per second against the mean added latency, as SVG.
std::string ToChart(const std::vector<Row>& rows, const std::string& title);

}  // namespace simulate

#endif  // VDUSE_NET_SIMULATE_REPORT_H_
