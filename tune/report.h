// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TUNE_REPORT_H_
#define VDUSE_NET_TUNE_REPORT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "coalesce/param_table.h"
#include "tune/verdict.h"

namespace tune {

// The result for one direction.
struct Side {
  coalesce::Direction direction = coalesce::Direction::kRx;
  Verdict verdict;
};

// A table for people: a line for each result, and the choice or why there is
// none.
std::string ToTable(const Side& side);

// The same as ToTable(), as JSON.
nlohmann::json ToJson(const Side& side);

// Notifications per packet against the mean wait, as SVG. The results on the
// front are marked.
std::string ToChart(const std::vector<Side>& sides, const std::string& title);

// The chosen parameters as words that ethtool -C and `coalesce set` take, like
// "rx-usecs 32 rx-frames 64 tx-usecs 16 tx-frames 64"; empty if there are none.
std::string Words(const std::vector<Side>& sides);

}  // namespace tune

#endif  // VDUSE_NET_TUNE_REPORT_H_
