// SPDX-License-Identifier: Apache-2.0
//
// `vduse-net config check` and `config show`.
#include "cli/config_command.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/json_text.h"
#include "base/output.h"
#include "base/status_text.h"
#include "base/text_file.h"
#include "cli/common_options.h"
#include "cli/config_file.h"
#include "daemon/options.h"
#include "state/state_file.h"
#include "vduse/device_name.h"

namespace cli {
namespace {

using nlohmann::json;
using Source = OptionValue::Source;

struct ConfigShowOptions {
  std::string what;
  std::string state_dir = program::kDefaultStateDir;
  bool as_json = false;
};

// The arguments of a process, without the program's name.
absl::StatusOr<std::vector<std::string>> ArgumentsOf(pid_t pid) {
  const auto text = base::ReadFile(fmt::format("/proc/{}/cmdline", pid));
  if (!text.ok()) return text.status();
  std::vector<std::string> arguments;
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\0', at), text->size());
    arguments.push_back(text->substr(at, end - at));
    at = end + 1;
  }
  if (!arguments.empty()) arguments.erase(arguments.begin());
  return arguments;
}

// Whether `file` was modified after the process of the device had locked the
// device's name, which it does at its start.
bool IsNewer(const std::string& file, const std::string& lock) {
  struct stat config = {};
  struct stat start = {};
  if (stat(file.c_str(), &config) != 0 || stat(lock.c_str(), &start) != 0) {
    return false;
  }
  return std::pair(config.st_mtim.tv_sec, config.st_mtim.tv_nsec) >
         std::pair(start.st_mtim.tv_sec, start.st_mtim.tv_nsec);
}

std::string SourceOf(const OptionValue& option, const ParsedCommand& run) {
  switch (option.source) {
    case Source::kDefault:
      return "default";
    case Source::kFileName:
      return "name of " + run.config_file;
    case Source::kFile:
      return run.config_file;
    case Source::kCommandLine:
      return "command line";
  }
  return "";
}

base::ExitCode CheckFile(const std::string& file) {
  const auto run = ParseCommand({"run", "--config=" + file});
  if (!run.ok()) return base::Fail(base::kExitUsage, run.status());
  base::Print("{}: ok\n", file);
  return base::kExitOk;
}

json ConfigAsJson(const ShownConfig& shown) {
  json options = json::object();
  for (const OptionValue& option : shown.run.options) {
    options[option.name] = {{"value", option.value},
                            {"from", SourceOf(option, shown.run)}};
  }
  json all = {{"options", options}, {"file", shown.run.config_file}};
  all["pid"] = shown.pid ? json(*shown.pid) : json();
  all["file_changed"] = shown.file_changed;
  return all;
}

base::ExitCode ShowConfig(const ConfigShowOptions& options) {
  const auto shown = FindConfig(options.what, options.state_dir);
  if (!shown.ok()) return ReportOrUsage(shown.status());
  base::Write(options.as_json ? base::FormatJson(ConfigAsJson(*shown))
                              : FormatConfig(*shown));
  return base::kExitOk;
}

}  // namespace

absl::StatusOr<ShownConfig> FindConfig(const std::string& what,
                                       const std::string& state_dir,
                                       const std::string& config_dir) {
  ShownConfig shown;
  std::vector<std::string> arguments = {"run", "--config=" + what};
  const bool is_device = what.find('/') == std::string::npos;
  if (is_device) {
    if (absl::Status name = vduse::CheckDeviceName(what); !name.ok()) {
      return name;
    }
    shown.pid = state::StateFile::Owner(state_dir, what);
    arguments.back() = fmt::format("--config={}/{}.conf", config_dir, what);
  }
  if (shown.pid) {
    auto own = ArgumentsOf(*shown.pid);
    if (!own.ok()) return own.status();
    arguments = std::move(*own);
  }
  absl::StatusOr<ParsedCommand> run = ParseCommand(arguments);
  if (!run.ok()) {
    if (!shown.pid) return run.status();
    return absl::InvalidArgumentError(
        fmt::format("process {} serves '{}', but could not be started again: "
                    "{}",
                    *shown.pid, what, base::Text(run.status())));
  }
  shown.run = std::move(*run);
  shown.file_changed =
      shown.pid && IsNewer(shown.run.config_file,
                           fmt::format("{}/{}.lock", state_dir, what));
  return shown;
}

std::string FormatConfig(const ShownConfig& shown) {
  const std::string& file = shown.run.config_file;
  std::string text;
  if (shown.pid) {
    text = fmt::format("# process {}\n", *shown.pid);
  } else {
    text = "# no process\n";
  }
  if (shown.file_changed) {
    text += fmt::format(
        "# {} has changed since that process was started: `vduse-net upgrade` "
        "makes the process read it again\n",
        file);
  }
  for (const OptionValue& option : shown.run.options) {
    text += fmt::format("{:<22}{:<26} # {}\n", option.name + " =",
                        option.value.empty() ? "-" : option.value,
                        SourceOf(option, shown.run));
  }
  return text;
}

void AddConfig(Command program) {
  Command config = program.Add("config", "Configuration files of `run`");

  const auto file = std::make_shared<std::string>();
  Command check = config.Add("check", "Check a configuration file");
  check.Value("FILE", *file, "The file").Required();
  check.Does([=] { return CheckFile(*file); });

  const auto options = std::make_shared<ConfigShowOptions>();
  Command show = config.Add(
      "show", "Show the options of a device, and where each comes from");
  show.Value("NAME|FILE", options->what, "A device, or a file if it has a '/'")
      .Required();
  AddStateDir(show, options->state_dir);
  AddJson(show, options->as_json);
  show.Does([=] { return ShowConfig(*options); });
}

}  // namespace cli
