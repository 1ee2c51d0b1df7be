// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "base/parse_number.h"
#include "base/status_text.h"
#include "cli/config_file.h"
#include "cli/parse_errors.h"

namespace cli {

struct Program {
  Program();

  CLI::App app{
      "A virtio-net device for the kernel's vDPA bus, in userspace, over a "
      "TAP, with notification coalescing",
      "vduse-net"};
  std::map<const CLI::App*, Command::Action> actions;
  std::map<const CLI::App*, std::function<absl::Status()>> checks;
  std::map<const CLI::App*, const CLI::Option*> config_files;
};

namespace {

// The validator of the last transform() runs first, so a text is checked before
// it is changed.
CLI::Validator MakeValidator(std::function<std::string(std::string&)> check,
                             const std::string& form = "") {
  return CLI::Validator(std::move(check), form);
}

// CLI11 would read a number with leading zeros as octal.
CLI::Option* Decimal(CLI::Option* option) {
  return option->transform(MakeValidator([](std::string& text) {
    text.erase(0, std::min(text.find_first_not_of('0'), text.size() - 1));
    return std::string();
  }));
}

bool IsFlag(const CLI::Option& option) {
  return option.get_expected_min() == 0;
}

void Parse(Program& program, const std::vector<std::string>& arguments,
           const ConfigArguments& config) {
  std::vector<std::string> all = arguments;
  if (!config.arguments.empty()) {
    // Directly behind the command: whatever ends the command line may want a
    // value.
    all.insert(std::find(all.begin(), all.end(), config.command) + 1,
               config.arguments.begin(), config.arguments.end());
  }
  // CLI11 takes them from the end.
  std::reverse(all.begin(), all.end());
  program.app.parse(std::move(all));
}

// Whether the command line has the option, or one that excludes it.
bool IsDecided(const CLI::Option& option) {
  const auto excludes = option.get_excludes();
  return option.count() > 0 ||
         std::any_of(excludes.begin(), excludes.end(),
                     [](const CLI::Option* other) { return other->count(); });
}

// Adds an entry of the configuration file, unless the command line wins.
absl::Status AddEntry(const CLI::App& command, const ConfigEntry& entry,
                      ConfigArguments& config) {
  const auto wrong = [&](const std::string& why) {
    return absl::InvalidArgumentError(
        fmt::format("{}:{}: {}", config.file, entry.line, why));
  };
  const std::string name = "--" + entry.key;
  const CLI::Option* const option = command.get_option_no_throw(name);
  if (option == nullptr || !option->get_configurable()) {
    return wrong(
        fmt::format("unknown key '{}': the keys are the options of "
                    "`vduse-net {}`, without '--'",
                    entry.key, command.get_name()));
  }
  if (IsFlag(*option) && entry.value != "true" && entry.value != "false") {
    return wrong(fmt::format("{}: '{}' is not one of true, false", entry.key,
                             entry.value));
  }
  if (IsDecided(*option)) return absl::OkStatus();
  config.lines[name] = entry.line;
  config.arguments.push_back(name + "=" + entry.value);
  return absl::OkStatus();
}

// What the configuration file says that `arguments` name, if they name one.
absl::StatusOr<ConfigArguments> ReadConfigOf(
    const std::vector<std::string>& arguments) {
  ConfigArguments config;
  if (std::none_of(arguments.begin(), arguments.end(),
                   [](const std::string& text) {
                     return text.starts_with("--config");
                   })) {
    return config;
  }
  Program program;
  try {
    Parse(program, arguments, config);
  } catch (const CLI::Success&) {
    return config;  // help is wanted
  } catch (const CLI::ParseError&) {
    // A required option may be in the file. Other errors come again.
  }
  const CLI::App& command = *Given(program.app);
  const auto option = program.config_files.find(&command);
  if (option == program.config_files.end() || option->second->count() == 0) {
    return config;
  }
  config.file = option->second->results().back();
  config.command = command.get_name();
  const auto entries = ReadConfig(config.file);
  if (!entries.ok()) return entries.status();
  for (const ConfigEntry& entry : *entries) {
    if (absl::Status added = AddEntry(command, entry, config); !added.ok()) {
      return added;
    }
  }
  const CLI::Option* const name = command.get_option_no_throw("--name");
  const std::optional<std::string> device = DeviceOfConfig(config.file);
  if (name != nullptr && device && name->count() == 0 &&
      config.lines.emplace("--name", 0).second) {
    config.arguments.push_back("--name=" + *device);
  }
  return config;
}

absl::Status Check(const Program& program, const CLI::App& command) {
  const auto check = program.checks.find(&command);
  return check == program.checks.end() ? absl::OkStatus() : check->second();
}

// "256" for "Largest queue size (default: 256)".
std::string DefaultOf(const CLI::Option& option) {
  constexpr std::string_view kWord = "default: ";
  if (IsFlag(option)) return "false";
  if (!option.get_default_str().empty()) return option.get_default_str();
  const std::string text = option.get_description();
  const size_t at = text.rfind(kWord);
  if (at == std::string::npos) return "";
  const size_t begin = at + kWord.size();
  return text.substr(begin, text.rfind(')') - begin);
}

OptionValue ValueOf(const CLI::Option& option, const ConfigArguments& config) {
  using Source = OptionValue::Source;
  OptionValue value;
  value.name = option.get_lnames().front();
  if (option.count() == 0) {
    value.value = DefaultOf(option);
    return value;
  }
  value.value = option.results().back();
  const auto line = config.lines.find("--" + value.name);
  value.source = line == config.lines.end() ? Source::kCommandLine
                 : line->second == 0        ? Source::kFileName
                                            : Source::kFile;
  return value;
}

void AddHelp(Program& program) {
  const auto words = std::make_shared<std::vector<std::string>>();
  Command help =
      Command(program, program.app).Add("help", "Describe a command");
  help.Values("COMMAND", *words, "Like `coalesce set`");
  help.Does([&program, words] {
    return ReportOrUsage(PrintHelp(program.app, *words));
  });
}

}  // namespace

// --- Options -----------------------------------------------------------------

Option Option::Required() {
  option_->required();
  return *this;
}

Option Option::Needs(Option other) {
  option_->needs(other.option_);
  return *this;
}

Option Option::Excludes(Option other) {
  option_->excludes(other.option_);
  return *this;
}

Option Option::ShowsDefault() {
  option_->capture_default_str();
  return *this;
}

Option Option::Checks(std::function<absl::Status(const std::string&)> check) {
  option_->transform(
      MakeValidator([check = std::move(check)](const std::string& text) {
        return base::Text(check(text));
      }));
  return *this;
}

Option Option::From(uint64_t least, uint64_t most) {
  option_->transform(MakeValidator(
      [=](const std::string& text) -> std::string {
        const auto number = base::ParseNumber<uint64_t>(text);
        if (number && *number >= least && *number <= most) return "";
        return fmt::format("'{}' is not a number from {} to {}", text, least,
                           most);
      },
      fmt::format("{} to {}", least, most)));
  return *this;
}

Option Option::OneOf(std::vector<std::string> words) {
  return Checks([words = std::move(words)](const std::string& text) {
    if (std::find(words.begin(), words.end(), text) != words.end()) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        fmt::format("'{}' is not one of {}", text, fmt::join(words, ", ")));
  });
}

// --- Commands ----------------------------------------------------------------

Command Command::Add(const std::string& name, const std::string& description) {
  app_->require_subcommand(1);
  return {*program_, *app_->add_subcommand(name, description)};
}

Option Command::Value(const std::string& name, std::string& variable,
                      const std::string& description) {
  return Option(app_->add_option(name, variable, description));
}

Option Command::Value(const std::string& name, uint32_t& variable,
                      const std::string& description) {
  return Option(Decimal(app_->add_option(name, variable, description)));
}

Option Command::Value(const std::string& name, uint64_t& variable,
                      const std::string& description) {
  return Option(Decimal(app_->add_option(name, variable, description)));
}

Option Command::Value(const std::string& name,
                      std::optional<uint16_t>& variable,
                      const std::string& description) {
  return Option(Decimal(app_->add_option(name, variable, description)));
}

Option Command::Value(const std::string& name,
                      std::optional<uint32_t>& variable,
                      const std::string& description) {
  return Option(Decimal(app_->add_option(name, variable, description)));
}

Option Command::Values(const std::string& name,
                       std::vector<std::string>& variable,
                       const std::string& description) {
  return Option(app_->add_option(name, variable, description));
}

void Command::Flag(const std::string& name, bool& variable,
                   const std::string& description) {
  app_->add_flag(name, variable, description);
}

Option Command::Parsed(const std::string& name,
                       const std::function<void(const std::string&)>& use,
                       const std::string& description) {
  return Option(app_->add_option_function<std::string>(name, use, description));
}

void Command::ConfigFile(const std::string& name, std::string& variable,
                         const std::string& description) {
  program_->config_files[app_] =
      app_->add_option(name, variable, description)->configurable(false);
}

void Command::Checks(std::function<absl::Status()> check) {
  program_->checks[app_] = std::move(check);
}

void Command::Does(Action action) {
  program_->actions[app_] = std::move(action);
}

base::ExitCode Report(const absl::Status& status) {
  return status.ok() ? base::kExitOk : base::Fail(base::kExitFailure, status);
}

base::ExitCode ReportOrUsage(const absl::Status& status) {
  return absl::IsInvalidArgument(status) ? base::Fail(base::kExitUsage, status)
                                         : Report(status);
}

Program::Program() {
  app.set_version_flag("-V,--version", VDUSE_NET_VERSION);
  for (const auto add :
       {AddRun, AddSimulate, AddTune, AddCheck, AddBus, AddProfiles, AddState,
        AddCoalesce, AddUpgrade, AddConfig, AddExplain}) {
    add(Command(*this, app));
  }
  AddHelp(*this);
}

base::ExitCode RunCommandLine(int argc, char** argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  const absl::StatusOr<ConfigArguments> config = ReadConfigOf(arguments);
  if (!config.ok()) return base::Fail(base::kExitUsage, config.status());
  Program program;
  try {
    Parse(program, arguments, *config);
  } catch (const CLI::ParseError& error) {
    return Explain(program.app, error, *config);
  }
  const CLI::App* const given = Given(program.app);
  if (const absl::Status good = Check(program, *given); !good.ok()) {
    return base::Fail(base::kExitUsage, good);
  }
  return program.actions.at(given)();
}

absl::StatusOr<ParsedCommand> ParseCommand(
    const std::vector<std::string>& arguments) {
  const absl::StatusOr<ConfigArguments> config = ReadConfigOf(arguments);
  if (!config.ok()) return config.status();
  Program program;
  try {
    Parse(program, arguments, *config);
  } catch (const CLI::ParseError& error) {
    return WhatIsWrong(program.app, error, *config);
  }
  const CLI::App& given = *Given(program.app);
  if (absl::Status good = Check(program, given); !good.ok()) return good;
  ParsedCommand parsed;
  parsed.config_file = config->file;
  for (const CLI::Option* const option : given.get_options()) {
    if (!option->get_configurable() || option->get_lnames().empty()) continue;
    parsed.options.push_back(ValueOf(*option, *config));
  }
  return parsed;
}

}  // namespace cli
