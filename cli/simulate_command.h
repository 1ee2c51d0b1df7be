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
  std::string pcap;                // a capture whose packets come,
  simulate::CaptureFilter filter;  // those of them that count; or
  std::string arrivals;            // a rule by which they do
  uint64_t packets = 100'000;
  uint64_t seed = 1;
  std::vector<std::string> settings;  // a sweep if empty
  uint32_t queue_size = 256;
  uint32_t timer_lateness_usecs = 0;
  uint32_t poll_nsecs = 0;  // of the driver, per packet
  bool json = false;
  std::string chart;  // a file to be written, or empty
};

// Prints what each setting comes to. Needs no privileges, no kernel, and no
// device.
//   InvalidArgument: says which option makes no sense, and why.
absl::Status Simulate(const SimulateOptions& options);

}  // namespace cli

#endif  // VDUSE_NET_CLI_SIMULATE_COMMAND_H_
