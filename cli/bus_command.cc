// SPDX-License-Identifier: Apache-2.0
//
// `vduse-net attach`, `detach` and `show`: what `vdpa` does, without that tool.
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/json_text.h"
#include "base/log.h"
#include "base/output.h"
#include "base/status_text.h"
#include "cli/command.h"
#include "cli/common_options.h"
#include "daemon/options.h"
#include "rpc/device_client.h"
#include "vduse/device_name.h"
#include "vduse/vdpa_bus.h"

namespace cli {
namespace {

using nlohmann::json;

struct ShowOptions {
  std::string name;
  std::string state_dir = program::kDefaultStateDir;
  bool processes = false;
  bool json = false;
};

// The processes of a device, as the one that serves it says. None if that is
// not of this program, or of an older release.
json ProcessesOf(const ShowOptions& options, const std::string& device) {
  const absl::StatusOr<json> answer =
      rpc::AskDevice(options.state_dir, device, "GetProcesses", json::object());
  if (answer.ok()) return rpc::ArrayIn(*answer, "processes");
  base::Log(base::Severity::kWarning, "{}: its processes are not known: {}",
            device, base::Text(answer.status()));
  return json::array();
}

void PrintProcesses(const json& processes) {
  for (const json& process : processes) {
    if (!process.is_object()) continue;
    base::Print("  {} {}: {}\n", rpc::TextIn(process, "role"),
                rpc::NumberIn(process, "pid"), rpc::TextIn(process, "text"));
  }
}

base::ExitCode Show(const ShowOptions& options) {
  const auto devices = vduse::ListBus(
      options.name.empty() ? std::nullopt : std::optional(options.name));
  if (!devices.ok()) return Report(devices.status());
  json all = json::array();
  for (const vduse::BusDevice& device : *devices) {
    const json processes =
        options.processes ? ProcessesOf(options, device.name) : json::array();
    if (options.json) {
      all.push_back({{"name", device.name},
                     {"type", device.device_id},
                     {"max_vqs", device.max_queues},
                     {"max_vq_size", device.max_queue_size},
                     {"driver", device.driver}});
      if (options.processes) all.back()["processes"] = processes;
      continue;
    }
    base::Print("{}: type {} max_vqs {} max_vq_size {} driver {}\n",
                device.name, device.device_id, device.max_queues,
                device.max_queue_size,
                device.driver.empty() ? "-" : device.driver);
    PrintProcesses(processes);
  }
  if (options.json) base::Write(base::FormatJson(all));
  return base::kExitOk;
}

// Adds a command that calls `action` with a device's name.
void AddNamed(Command program, const std::string& name,
              const std::string& description,
              absl::Status (*action)(const std::string&)) {
  const auto device = std::make_shared<std::string>();
  Command command = program.Add(name, description);
  command.Value("NAME", *device, "The device")
      .Required()
      .Checks(vduse::CheckDeviceName);
  command.Does([=] { return Report(action(*device)); });
}

}  // namespace

void AddBus(Command program) {
  AddNamed(program, "attach",
           "Attach a device that is being served, like `vdpa dev add`",
           vduse::AttachToBus);
  AddNamed(program, "detach", "Take a device off the bus, like `vdpa dev del`",
           vduse::DetachFromBus);
  const auto options = std::make_shared<ShowOptions>();
  Command show = program.Add("show", "List the devices on the bus");
  show.Value("NAME", options->name, "Only this device");
  show.Flag("-p,--processes", options->processes,
            "Also the processes of each device, and what they may do");
  AddStateDir(show, options->state_dir);
  AddJson(show, options->json);
  show.Does([=] { return Show(*options); });
}

}  // namespace cli
