// SPDX-License-Identifier: Apache-2.0
//
// Commands about devices, and about what this host and this release can do.
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/output.h"
#include "base/status_text.h"
#include "base/text_file.h"
#include "cli/check.h"
#include "cli/cli.h"
#include "cli/coalesce_command.h"
#include "daemon/options.h"
#include "net/wire/features.h"
#include "vduse/device_name.h"
#include "vduse/vdpa_bus.h"

namespace cli {
namespace {

using nlohmann::json;
using Text = std::shared_ptr<std::string>;
using Words = std::shared_ptr<std::vector<std::string>>;

Text DefaultStateDir() {
  return std::make_shared<std::string>(program::kDefaultStateDir);
}

// Where the process of a device keeps its state.
Text AddStateDir(CLI::App* command, Text dir = DefaultStateDir()) {
  command
      ->add_option("--state-dir", *dir,
                   "As the device's process was started with")
      ->capture_default_str();
  return dir;
}

// For CLI11: what is wrong with it, or nothing.
std::string IsDeviceName(const std::string& name) {
  return base::Text(vduse::CheckDeviceName(name));
}

using Flag = std::shared_ptr<bool>;

Flag AddJson(CLI::App* command) {
  Flag as_json = std::make_shared<bool>(false);
  command->add_flag("-j,--json", *as_json, "As JSON");
  return as_json;
}

void PrintJson(const json& value) {
  base::Print("{}\n",
              value.dump(2, ' ', false, json::error_handler_t::replace));
}

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
  if (as_json) PrintJson(all);
  return base::kExitOk;
}

base::ExitCode ListProfiles(bool as_json) {
  json all = json::array();
  for (const net::Profile& profile : net::Profiles()) {
    const std::string names = net::FeatureNames(profile.features);
    if (as_json) {
      all.push_back({{"name", profile.name},
                     {"description", profile.text},
                     {"features", profile.features},
                     {"feature_names", names}});
      continue;
    }
    base::Print("{:<14}{}\n{:<14}{}\n", profile.name, profile.text, "", names);
  }
  if (as_json) PrintJson(all);
  return base::kExitOk;
}

base::ExitCode SaveState(const std::string& dir, const std::string& name,
                         const std::string& file) {
  const absl::StatusOr<std::string> text = AskForState(dir, name);
  if (!text.ok()) return Report(text.status());
  return Report(base::WriteFile(file, *text));
}

}  // namespace

void AddCheck(CLI::App& app, Actions& actions) {
  CLI::App* check = app.add_subcommand("check", "Tell what this host can do");
  Flag as_json = AddJson(check);
  actions[check] = [=] { return Check(*as_json); };
}

void AddBus(CLI::App& app, Actions& actions) {
  const Text name = std::make_shared<std::string>();
  CLI::App* attach = app.add_subcommand(
      "attach", "Attach a device that is being served, like `vdpa dev add`");
  attach->add_option("NAME", *name)->required()->check(IsDeviceName);
  actions[attach] = [=] { return Report(vduse::AttachToBus(*name)); };
  CLI::App* detach = app.add_subcommand(
      "detach", "Take a device off the bus, like `vdpa dev del`");
  detach->add_option("NAME", *name)->required()->check(IsDeviceName);
  actions[detach] = [=] { return Report(vduse::DetachFromBus(*name)); };
  CLI::App* show = app.add_subcommand("show", "List the devices on the bus");
  show->add_option("NAME", *name);
  Flag as_json = AddJson(show);
  actions[show] = [=] {
    return Show(name->empty() ? std::nullopt : std::optional(*name), *as_json);
  };
}

void AddProfiles(CLI::App& app, Actions& actions) {
  CLI::App* profiles =
      app.add_subcommand("profiles", "List the sets of features under a name");
  Flag as_json = AddJson(profiles);
  actions[profiles] = [=] { return ListProfiles(*as_json); };
}

void AddState(CLI::App& app, Actions& actions) {
  CLI::App* state = app.add_subcommand(
      "state", "What a driver has made of a device, for moving it");
  state->require_subcommand(1);
  CLI::App* save = state->add_subcommand(
      "save", "Write the state of a suspended or stopped device to a file");
  const Text file = std::make_shared<std::string>();
  const Text name = std::make_shared<std::string>();
  save->add_option("FILE", *file, "To be given to `run --restore`")->required();
  save->add_option("--name", *name, "Name of the device")
      ->required()
      ->check(IsDeviceName);
  const Text dir = AddStateDir(save);
  actions[save] = [=] { return SaveState(*dir, *name, *file); };
}

void AddCoalesce(CLI::App& app, Actions& actions) {
  CLI::App* coalesce = app.add_subcommand(
      "coalesce", "Show or set the coalescing of a device that is served");
  coalesce->require_subcommand(1);
  const Text dir = AddStateDir(coalesce);
  const Words words = std::make_shared<std::vector<std::string>>();
  CLI::App* show = coalesce->add_subcommand(
      "show", "Who has set what, and what came of it: [dev] [NAME]");
  show->add_option("DEVICE", *words, "[dev] NAME (default: all)");
  Flag as_json = AddJson(show);
  AddStateDir(show, dir);
  actions[show] = [=] {
    if (!words->empty() && words->front() == "dev") {
      words->erase(words->begin());
    }
    if (words->size() > 1) {
      return Report(absl::InvalidArgumentError(
                        "coalesce show: one device's name, or none"),
                    /*judges_options=*/true);
    }
    return Report(
        ShowCoalescing(*dir, words->empty() ? "" : words->front(), *as_json));
  };
  CLI::App* set = coalesce->add_subcommand(
      "set",
      "What applies until the driver sets it, and after a reset: [dev] NAME "
      "[rx-usecs N] [rx-frames N] [tx-usecs N] [tx-frames N] [adaptive-rx "
      "on|off] [adaptive-tx on|off] [target-latency-usecs N | max-irq-rate N]");
  set->add_option("SETTING", *words, "As above");
  AddStateDir(set, dir);
  actions[set] = [=] {
    const absl::StatusOr<CoalesceChange> change = ParseCoalesceChange(*words);
    if (!change.ok()) return base::Fail(base::kExitUsage, change.status());
    return Report(ChangeCoalescing(*dir, *change));
  };
}

}  // namespace cli
