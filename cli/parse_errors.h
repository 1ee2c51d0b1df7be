// SPDX-License-Identifier: Apache-2.0
//
// Which command was given, its help, and what is wrong with a command line, by
// the word that is wrong.
#ifndef VDUSE_NET_CLI_PARSE_ERRORS_H_
#define VDUSE_NET_CLI_PARSE_ERRORS_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/exit_codes.h"

namespace cli {

// The innermost command that was given, or the program itself.
const CLI::App* Given(const CLI::App& app);

// Prints what `--help` and `help` do. The error names a word that is no
// command.
absl::Status PrintHelp(const CLI::App& app,
                       const std::vector<std::string>& words);

// After parsing has ended with `error`, which may be a call for help or for
// the version: does that, or says what is wrong.
base::ExitCode Explain(const CLI::App& app, const CLI::ParseError& error);

}  // namespace cli

#endif  // VDUSE_NET_CLI_PARSE_ERRORS_H_
