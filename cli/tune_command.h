// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_CLI_TUNE_COMMAND_H_
#define VDUSE_NET_CLI_TUNE_COMMAND_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace cli {

// The command line of `vduse-net tune`.
struct TuneOptions {
  static constexpr uint32_t kMaxRounds = 1000;
  static constexpr uint32_t kMaxWindowMsecs = 60'000;

  std::string state_dir;
  std::string device;
  std::string direction;              // "rx", "tx", or empty: both in turn
  std::vector<std::string> settings;  // empty: a sweep
  uint32_t rounds = 5;
  uint32_t window_msecs = 1000;
  uint32_t max_wait_usecs = 50;
  bool json = false;
  std::string chart;  // file to write, or empty
};

// Takes the device and the settings from "[dev] NAME [USECS/FRAMES...]".
//   InvalidArgument: the device's name is missing.
absl::Status TakeTuneWords(std::vector<std::string> words,
                           TuneOptions& options);

// Tries settings on a device under its present traffic, one after the other,
// and all of them `rounds` times, and prints the results. Afterwards the device
// has its former setting, also after SIGINT, SIGTERM or SIGHUP, which end this
// early. If this process is killed, the device keeps the last setting tried.
//   InvalidArgument: an option makes no sense.
//   FailedPrecondition: the driver has set parameters itself, or does not run
//     the device; or nothing can be recommended, which is printed, too.
//   Cancelled: a signal ended this.
//   Others: the device cannot be asked.
absl::Status Tune(const TuneOptions& options);

}  // namespace cli

#endif  // VDUSE_NET_CLI_TUNE_COMMAND_H_
