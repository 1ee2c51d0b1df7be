// SPDX-License-Identifier: Apache-2.0
//
// `vduse-net attach`, `detach` and `show`: what `vdpa` does, without that tool.
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/json_text.h"
#include "base/output.h"
#include "cli/command.h"
#include "cli/common_options.h"
#include "vduse/device_name.h"
#include "vduse/vdpa_bus.h"

namespace cli {
namespace {

using nlohmann::json;

struct ShowOptions {
  std::string name;
  bool json = false;
};

base::ExitCode Show(const std::optional<std::string>& name, bool as_json) {
  const auto devices = vduse::ListBus(name);
  if (!devices.ok()) return Report(devices.status());
  json all = json::array();
  for (const vduse::BusDevice& device : *devices) {
    if (as_json) {
      all.push_back({{"name", device.name},
                     {"type", device.device_id},
                     {"max_vqs", device.max_queues},
                     {"max_vq_size", device.max_queue_size},
                     {"driver", device.driver}});
      continue;
    }
    base::Print("{}: type {} max_vqs {} max_vq_size {} driver {}\n",
                device.name, device.device_id, device.max_queues,
                device.max_queue_size,
                device.driver.empty() ? "-" : device.driver);
  }
  if (as_json) base::Write(base::FormatJson(all));
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
  AddJson(show, options->json);
  show.Does([=] {
    return Show(
        options->name.empty() ? std::nullopt : std::optional(options->name),
        options->json);
  });
}

}  // namespace cli
