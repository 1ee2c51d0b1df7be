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
  std::string direction;  // "rx", "tx", or empty for one after the other
  std::vector<std::string> settings;  // a sweep if empty
  uint32_t rounds = 5;
  uint32_t window_msecs = 1000;
  uint32_t max_wait_usecs = 50;
  bool json = false;
  std::string chart;  // a file to be written, or empty
};

// "[dev] NAME [USECS/FRAMES...]": the device and the settings.
//   InvalidArgument: the device's name is missing.
absl::Status TakeTuneWords(std::vector<std::string> words,
                           TuneOptions& options);

// Tries settings on a device under whatever traffic it has, one after the other
// and all of that `rounds` times, and prints what came of each. The device is
// then as it was before, also after SIGINT, SIGTERM or SIGHUP, which end this
// early; it is left with the last setting if this process is killed.
//   InvalidArgument: an option makes no sense.
//   FailedPrecondition: the driver has asked for parameters itself, or does not
//     run the device; or nothing can be recommended, which is printed, too.
//   Cancelled: by a signal.
//   else: the device cannot be asked.
absl::Status Tune(const TuneOptions& options);

}  // namespace cli

#endif  // VDUSE_NET_CLI_TUNE_COMMAND_H_
