// SPDX-License-Identifier: Apache-2.0
#include "cli/parse_errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "absl/status/status.h"
#include "base/output.h"

namespace cli {
namespace {

// "vduse-net coalesce set".
std::string FullName(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name()
                           : FullName(*parent) + " " + command.get_name();
}

bool HasCommands(const CLI::App& app) {
  return !app.get_subcommands([](const CLI::App*) { return true; }).empty();
}

std::string CommandsOf(const CLI::App& app) {
  std::string text;
  for (const CLI::App* command :
       app.get_subcommands([](const CLI::App*) { return true; })) {
    text += (text.empty() ? "" : ", ") + command->get_name();
  }
  return text;
}

absl::Status UnknownCommand(const CLI::App& app, const std::string& word) {
  return absl::InvalidArgumentError(fmt::format(
      "unknown command '{}': {} has {}", word, FullName(app), CommandsOf(app)));
}

// An unparsed word may be the reason why something else is missing.
absl::Status AboutLeftOver(const CLI::App& app) {
  const std::vector<std::string> left = app.remaining();
  const auto is_option = [](const std::string& word) {
    return word.size() > 1 && word.front() == '-';
  };
  const auto command = std::find_if_not(left.begin(), left.end(), is_option);
  if (HasCommands(app) && app.get_subcommands().empty() &&
      command != left.end()) {
    return UnknownCommand(app, *command);
  }
  const auto option = std::find_if(left.begin(), left.end(), is_option);
  if (option == left.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("unknown option '{}'", *option));
}

std::string TextOf(const CLI::App& given, const CLI::ParseError& error) {
  for (const CLI::App* at = &given; at != nullptr; at = at->get_parent()) {
    const absl::Status status = AboutLeftOver(*at);
    if (!status.ok()) return std::string(status.message());
  }
  if (HasCommands(given)) {
    return fmt::format("a command is missing: {}", CommandsOf(given));
  }
  std::string text = error.what();
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr &&
      given.remaining_size() > 0) {
    return fmt::format("unexpected argument '{}'", given.remaining().front());
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr &&
      text.ends_with(" missing")) {
    return fmt::format("{} needs a value", text.substr(0, text.find(':')));
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr &&
      text.find(": At Most 1 ") != std::string::npos) {
    return fmt::format("{} is given more than once",
                       text.substr(0, text.find(':')));
  }
  return text;
}

// The text about an option that the configuration file has, or lacks, in the
// file's words; empty if it is about something else.
std::string InConfig(const std::string& text, const ConfigArguments& config) {
  const size_t end = text.find_first_of(": ");
  const std::string option = text.substr(0, end);
  if (!option.starts_with("--")) return "";
  const std::string key = option.substr(2);
  if (text == option + " is required") {
    return fmt::format("{}: {} is missing, and {} is not given", config.file,
                       key, option);
  }
  const auto found = config.lines.find(option);
  if (found == config.lines.end()) return "";
  const std::string rest = text.substr(option.size());
  if (found->second == 0) {
    return fmt::format("{}: the name of the file is that of the device{}",
                       config.file, rest);
  }
  return fmt::format("{}:{}: {}{}", config.file, found->second, key, rest);
}

}  // namespace

const CLI::App* Given(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return at;
}

absl::Status PrintHelp(const CLI::App& app,
                       const std::vector<std::string>& words) {
  const CLI::App* at = &app;
  for (const std::string& word : words) {
    const auto named = at->get_subcommands(
        [&](const CLI::App* one) { return one->get_name() == word; });
    if (named.empty()) return UnknownCommand(*at, word);
    at = named.front();
  }
  // Not App::help(), which describes the command that was given.
  base::Write(at->get_formatter()->make_help(at, FullName(*at),
                                             CLI::AppFormatMode::Normal));
  return absl::OkStatus();
}

absl::Status WhatIsWrong(const CLI::App& app, const CLI::ParseError& error,
                         const ConfigArguments& config) {
  const CLI::App& given = *Given(app);
  const std::string text = TextOf(given, error);
  if (!config.file.empty()) {
    const std::string about = InConfig(text, config);
    if (!about.empty()) return absl::InvalidArgumentError(about);
  }
  const bool inner = given.get_parent() != nullptr;
  return absl::InvalidArgumentError(fmt::format(
      "{}{}; see `{}{}`",
      inner ? FullName(given).substr(app.get_name().size() + 1) + ": " : "",
      text, app.get_name() + " help",
      inner ? FullName(given).substr(app.get_name().size()) : ""));
}

base::ExitCode Explain(const CLI::App& app, const CLI::ParseError& error,
                       const ConfigArguments& config) {
  if (error.get_exit_code() != 0) {
    return base::Fail(base::kExitUsage, WhatIsWrong(app, error, config));
  }
  std::ostringstream text;
  (void)app.exit(error, text, text);
  base::Write(text.str());
  return base::kExitOk;
}

}  // namespace cli
