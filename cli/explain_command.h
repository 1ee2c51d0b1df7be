// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_CLI_EXPLAIN_COMMAND_H_
#define VDUSE_NET_CLI_EXPLAIN_COMMAND_H_

#include <cstdint>
#include <string>
#include <vector>

#include "cli/coalesce_command.h"

namespace cli {

// What a setting of one direction means for a device and for Linux's driver.
struct Explanation {
  std::string direction;  // "rx" or "tx"
  uint32_t usecs = 0;
  uint32_t frames = 0;
  bool adaptive = false;
  bool coalesces = false;  // otherwise each packet is notified at once
  // With fixed numbers that coalesce, else 0:
  uint32_t max_wait_usecs = 0;   // of a packet for its notification
  uint64_t max_timer_rate = 0;   // notifications/s while batches are not full
  uint64_t full_batch_rate = 0;  // packets/s from which batches are full
  std::vector<std::string> sentences;
};

// For each direction of which `change` says something. A number that is not
// given counts as 0, its value after a reset of the device.
std::vector<Explanation> ExplainSettings(const CoalesceChange& change);

}  // namespace cli

#endif  // VDUSE_NET_CLI_EXPLAIN_COMMAND_H_
