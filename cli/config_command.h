// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_CLI_CONFIG_COMMAND_H_
#define VDUSE_NET_CLI_CONFIG_COMMAND_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/command.h"

namespace cli {

// What `vduse-net config show` shows.
struct ShownConfig {
  ParsedCommand run;
  std::optional<pid_t> pid;  // the process that has these options, if any
  // The configuration file is newer than the process's start.
  bool file_changed = false;
};

// `what` is a file if it has a '/', otherwise a device. A device that is served
// has the options of its process, which uses `state_dir`; another one those of
// CONFIG_DIR/NAME.conf.
//   InvalidArgument: the options are wrong.
//   NotFound: there is no such file.
absl::StatusOr<ShownConfig> FindConfig(
    const std::string& what, const std::string& state_dir,
    const std::string& config_dir = "/etc/vduse-net");

// As text for people.
std::string FormatConfig(const ShownConfig& shown);

}  // namespace cli

#endif  // VDUSE_NET_CLI_CONFIG_COMMAND_H_
