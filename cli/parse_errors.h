// SPDX-License-Identifier: Apache-2.0
//
// Finds the given command, prints help, and explains what is wrong with a
// command line by naming the word that is wrong.
#ifndef VDUSE_NET_CLI_PARSE_ERRORS_H_
#define VDUSE_NET_CLI_PARSE_ERRORS_H_

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/exit_codes.h"

namespace cli {

// The innermost given command, or the program itself.
const CLI::App* Given(const CLI::App& app);

// Prints the help of the command that `words` name, as `--help` and `help` do.
//   InvalidArgument: a word is not a command; the text names it.
absl::Status PrintHelp(const CLI::App& app,
                       const std::vector<std::string>& words);

// What a configuration file has added to a command line.
struct ConfigArguments {
  std::string file;     // empty if there is none
  std::string command;  // that has read it
  // By option ("--mtu"), the line of the file. Line 0: from the file's name.
  std::map<std::string, int> lines;
  std::vector<std::string> arguments;
};

// What is wrong, in the words of the command line or of the configuration file,
// whichever has the error.
absl::Status WhatIsWrong(const CLI::App& app, const CLI::ParseError& error,
                         const ConfigArguments& config);

// Handles the end of parsing with `error`. If that is a request for help or the
// version, prints it; otherwise logs what is wrong.
base::ExitCode Explain(const CLI::App& app, const CLI::ParseError& error,
                       const ConfigArguments& config);

}  // namespace cli

#endif  // VDUSE_NET_CLI_PARSE_ERRORS_H_
