// SPDX-License-Identifier: Apache-2.0
//
// The parts of a command: its options, and its action. The parser is CLI11.
// Only command.cc and parse_errors.cc include it, because it reports errors as
// exceptions and takes long to compile.
#ifndef VDUSE_NET_CLI_COMMAND_H_
#define VDUSE_NET_CLI_COMMAND_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/exit_codes.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace cli {

struct Program;

// An option of a command. A handle: copies refer to the same option.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  // The option must be given.
  Option Required();
  // The option needs, or excludes, `other`.
  Option Needs(Option other);
  Option Excludes(Option other);
  // --help shows the present value of the option's variable.
  Option ShowsDefault();
  // `check` must accept the text; its error says what is wrong.
  Option Checks(std::function<absl::Status(const std::string&)> check);
  // A decimal number from `least` to `most`.
  Option From(uint64_t least, uint64_t most = UINT32_MAX);
  // One of `words`.
  Option OneOf(std::vector<std::string> words);

 private:
  CLI::Option* option_;
};

// A command, or the program itself. A handle: copies refer to the same command.
class Command {
 public:
  using Action = std::function<base::ExitCode()>;

  Command(Program& program, CLI::App& app) : program_(&program), app_(&app) {}

  Command Add(const std::string& name, const std::string& description);

  // Add options by their names ("--mtu" or "-j,--json"), or arguments by a name
  // without dashes. The variable receives the value and must outlive the
  // parser. Option::From() bounds numbers.
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
  // `use` gets the text after all checks.
  Option Parsed(const std::string& name,
                const std::function<void(const std::string&)>& use,
                const std::string& description);

  // Adds an option that names a configuration file (config_file.h), which gives
  // values to the options that the command line does not. If neither gives a
  // value to --name, that is the file's name without its suffix.
  void ConfigFile(const std::string& name, std::string& variable,
                  const std::string& description);

  // `check` runs after parsing, before the action. Its error is one of the
  // command line.
  void Checks(std::function<absl::Status()> check);
  // Sets what the command does. A command without an action needs a subcommand.
  void Does(Action action);

 private:
  Program* program_;
  CLI::App* app_;
};

// Each adds a command to the program, and is in the file of that name.
void AddRun(Command program);
void AddBus(Command program);  // attach, detach, show
void AddCheck(Command program);
void AddProfiles(Command program);
void AddState(Command program);
void AddCoalesce(Command program);
void AddSimulate(Command program);
void AddTune(Command program);
void AddUpgrade(Command program);
void AddConfig(Command program);
void AddExplain(Command program);

// Logs the error, if any, and returns the command's exit code.
base::ExitCode Report(const absl::Status& status);

// The same for a command that checks options itself: InvalidArgument counts as
// an error of the command line.
base::ExitCode ReportOrUsage(const absl::Status& status);

// Parses the command line and runs the command.
base::ExitCode RunCommandLine(int argc, char** argv);

// The value of an option of a command.
struct OptionValue {
  enum class Source { kDefault, kFileName, kFile, kCommandLine };

  std::string name;   // without its dashes
  std::string value;  // a default is worded as in the help, and may be empty
  Source source = Source::kDefault;
};

struct ParsedCommand {
  std::string config_file;  // empty if there is none
  std::vector<OptionValue> options;
};

// Parses and checks `arguments`, the program's name not among them, and runs
// nothing.
//   InvalidArgument: they, or the configuration file, are wrong.
absl::StatusOr<ParsedCommand> ParseCommand(
    const std::vector<std::string>& arguments);

}  // namespace cli

#endif  // VDUSE_NET_CLI_COMMAND_H_
