// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_CLI_SIMULATE_COMMAND_H_
#define VDUSE_NET_CLI_SIMULATE_COMMAND_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "simulate/capture.h"

namespace cli {

// The command line of `vduse-net simulate`.
struct SimulateOptions {
  // Either `pcap`, a capture from which `filter` selects packets, or
  // `arrivals`, a rule for arrivals.
  std::string pcap;
  simulate::CaptureFilter filter;
  std::string arrivals;
  uint64_t packets = 100'000;
  uint64_t seed = 1;
  std::vector<std::string> settings;  // empty: a sweep
  uint32_t queue_size = 256;
  uint32_t timer_lateness_usecs = 0;
  uint32_t poll_nsecs = 0;  // the driver's, per packet
  bool json = false;
  std::string chart;  // file to write, or empty
};

// Prints the result of each setting. Needs no privileges, no kernel, and no
// device.
//   InvalidArgument: an option makes no sense; the text says which, and why.
absl::Status Simulate(const SimulateOptions& options);

}  // namespace cli

#endif  // VDUSE_NET_CLI_SIMULATE_COMMAND_H_
