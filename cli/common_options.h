// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_CLI_COMMON_OPTIONS_H_
#define VDUSE_NET_CLI_COMMON_OPTIONS_H_

#include <string>

#include "cli/command.h"

namespace cli {

// --state-dir: where the process of a device keeps its state.
void AddStateDir(Command command, std::string& directory);

// -j, --json
void AddJson(Command command, bool& as_json);

}  // namespace cli

#endif  // VDUSE_NET_CLI_COMMON_OPTIONS_H_
