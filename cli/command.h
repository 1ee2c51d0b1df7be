// SPDX-License-Identifier: Apache-2.0
//
// What commands are made of: options, and what to do once they were given.
// The parser is CLI11, which command.cc and parse_errors.cc alone include: it
// reports errors as exceptions, and takes compilers long.
#ifndef VDUSE_NET_CLI_COMMAND_H_
#define VDUSE_NET_CLI_COMMAND_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/exit_codes.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace cli {

struct Program;

// An option of a command. A handle: copies are of the same option.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  // The command is wrong without it.
  Option Required();
  // Only with `other`, or not beside it.
  Option Needs(Option other);
  Option Excludes(Option other);
  // --help shows the value that its variable has now.
  Option ShowsDefault();
  // The text has to be what `judge` takes: its error says what is wrong.
  Option Checks(std::function<absl::Status(const std::string&)> judge);
  // A decimal number from `least` to `most`.
  Option From(uint64_t least, uint64_t most = UINT32_MAX);
  // One of `words`.
  Option OneOf(std::vector<std::string> words);

 private:
  CLI::Option* option_;
};

// A command, or the program itself. A handle: copies are of the same command.
class Command {
 public:
  using Action = std::function<base::ExitCode()>;

  Command(Program& program, CLI::App& app) : program_(&program), app_(&app) {}

  Command Add(const std::string& name, const std::string& description);

  // Options by their name, "--mtu" or "-j,--json", and arguments by a name
  // without dashes. The variable gets the value, and must outlive the parser.
  // Numbers are bounded by Option::From().
  Option Value(const std::string& name, std::string& variable,
               const std::string& description);
  Option Value(const std::string& name, uint32_t& variable,
               const std::string& description);
  Option Value(const std::string& name, uint64_t& variable,
               const std::string& description);
  Option Value(const std::string& name, std::optional<uint16_t>& variable,
               const std::string& description);
  Option Value(const std::string& name, std::optional<uint32_t>& variable,
               const std::string& description);
  Option Values(const std::string& name, std::vector<std::string>& variable,
                const std::string& description);
  void Flag(const std::string& name, bool& variable,
            const std::string& description);
  // `use` gets the text once it was checked.
  Option Parsed(const std::string& name,
                std::function<void(const std::string&)> use,
                const std::string& description);

  // What the command does. One without an action needs a command behind it.
  void Does(Action action);

 private:
  Program* program_;
  CLI::App* app_;
};

// Each adds a command to the program, and is in the file of its name.
void AddRun(Command program);
void AddBus(Command program);  // attach, detach, show
void AddCheck(Command program);
void AddProfiles(Command program);
void AddState(Command program);
void AddCoalesce(Command program);
void AddSimulate(Command program);
void AddTune(Command program);

// The exit code of a command, once its error is in the log. InvalidArgument is
// an error of the command line where `judges_options` is set.
base::ExitCode Report(const absl::Status& status, bool judges_options = false);

// Parses the command line and does what it says.
base::ExitCode RunCommandLine(int argc, char** argv);

}  // namespace cli

#endif  // VDUSE_NET_CLI_COMMAND_H_
