// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "base/parse_number.h"
#include "base/status_text.h"
#include "cli/parse_errors.h"

namespace cli {

struct Program {
  CLI::App app{
      "A virtio-net device for the kernel's vDPA bus, in userspace, over a "
      "TAP, with notification coalescing",
      "vduse-net"};
  std::map<const CLI::App*, Command::Action> actions;
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

base::ExitCode RunCommandLine(int argc, char** argv) {
  Program program;
  program.app.set_version_flag("-V,--version", VDUSE_NET_VERSION);
  for (const auto add : {AddRun, AddSimulate, AddTune, AddCheck, AddBus,
                         AddProfiles, AddState, AddCoalesce, AddUpgrade}) {
    add(Command(program, program.app));
  }
  AddHelp(program);
  try {
    program.app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return Explain(program.app, error);
  }
  return program.actions.at(Given(program.app))();
}

}  // namespace cli
