// SPDX-License-Identifier: Apache-2.0
//
// What CLI11 leaves open: numbers with their range in words, and errors that
// say which word is wrong.
#ifndef VDUSE_NET_CLI_CLI_PARSE_H_
#define VDUSE_NET_CLI_CLI_PARSE_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/exit_codes.h"

namespace cli {

// Of the text of a decimal number, which CLI11 would take for an octal one.
void WithoutLeadingZeros(std::string& text);

// For Option::transform(): a decimal number from `least` to `most`.
CLI::Validator Number(uint64_t least, uint64_t most = UINT32_MAX);

// The innermost sub-command that was given, or the program itself.
const CLI::App* Given(const CLI::App& app);

// "vduse-net coalesce set".
std::string FullName(const CLI::App& command);

// Prints what `--help` and `help` do. The error names a word that is no
// command.
absl::Status PrintHelp(const CLI::App& app,
                       const std::vector<std::string>& words);

// After parsing has ended with `error`, which may be a call for help or for
// the version: does that, or says what is wrong.
base::ExitCode Explain(const CLI::App& app, const CLI::ParseError& error);

}  // namespace cli

#endif  // VDUSE_NET_CLI_CLI_PARSE_H_
