// SPDX-License-Identifier: Apache-2.0
#include "cli/common_options.h"

namespace cli {

void AddStateDir(Command command, std::string& directory) {
  command
      .Value("--state-dir", directory,
             "State directory of the device's process")
      .ShowsDefault();
}

void AddJson(Command command, bool& as_json) {
  command.Flag("-j,--json", as_json, "As JSON");
}

}  // namespace cli
