// SPDX-License-Identifier: Apache-2.0
//
// `vduse-net upgrade`.
#include <memory>
#include <string>

#include "base/output.h"
#include "cli/command.h"
#include "cli/common_options.h"
#include "daemon/options.h"
#include "daemon/upgrade.h"
#include "vduse/device_name.h"

namespace cli {
namespace {

struct UpgradeOptions {
  std::string name;
  std::string state_dir = program::kDefaultStateDir;
};

base::ExitCode Upgrade(const UpgradeOptions& options) {
  const absl::StatusOr<pid_t> pid =
      program::Upgrade(options.state_dir, options.name);
  if (!pid.ok()) return Report(pid.status());
  base::Print("{}: process {} is the supervisor now\n", options.name, *pid);
  return base::kExitOk;
}

}  // namespace

void AddUpgrade(Command program) {
  const auto options = std::make_shared<UpgradeOptions>();
  Command upgrade = program.Add(
      "upgrade",
      "Make a running device use the program that is installed by now");
  upgrade.Value("NAME", options->name, "The device")
      .Required()
      .Checks(vduse::CheckDeviceName);
  AddStateDir(upgrade, options->state_dir);
  upgrade.Does([=] { return Upgrade(*options); });
}

}  // namespace cli
