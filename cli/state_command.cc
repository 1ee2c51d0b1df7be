// SPDX-License-Identifier: Apache-2.0
//
// `vduse-net state save`.
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/json_text.h"
#include "base/text_file.h"
#include "cli/command.h"
#include "cli/common_options.h"
#include "daemon/options.h"
#include "rpc/device_client.h"
#include "vduse/device_name.h"

namespace cli {
namespace {

struct SaveOptions {
  std::string file;
  std::string name;
  std::string state_dir = program::kDefaultStateDir;
};

absl::Status SaveState(const SaveOptions& options) {
  const absl::StatusOr<nlohmann::json> answer = rpc::AskDevice(
      options.state_dir, options.name, "SaveState", nlohmann::json::object());
  if (!answer.ok()) return answer.status();
  return base::WriteFile(options.file,
                         base::FormatJson(rpc::ObjectIn(*answer, "state")));
}

}  // namespace

void AddState(Command program) {
  const auto options = std::make_shared<SaveOptions>();
  Command state = program.Add(
      "state", "Save the driver-visible state of a device, to move its driver");
  Command save = state.Add(
      "save", "Write the state of a suspended or stopped device to a file");
  save.Value("FILE", options->file, "File for `run --restore`").Required();
  save.Value("--name", options->name, "Name of the device")
      .Required()
      .Checks(vduse::CheckDeviceName);
  AddStateDir(save, options->state_dir);
  save.Does([=] { return Report(SaveState(*options)); });
}

}  // namespace cli
