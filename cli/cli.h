// SPDX-License-Identifier: Apache-2.0
//
// The command line: each sub-command registers its options and what it does.
// CLI11 reports errors as exceptions: only the files that include this one are
// compiled with them.
#ifndef VDUSE_NET_CLI_CLI_H_
#define VDUSE_NET_CLI_CLI_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <map>

#include "absl/status/status.h"
#include "base/exit_codes.h"

namespace cli {

// What a sub-command does once the command line was parsed.
using Action = std::function<base::ExitCode()>;
using Actions = std::map<const CLI::App*, Action>;

// Each adds a sub-command to `app`, and to `actions` what it does.
void AddRun(CLI::App& app, Actions& actions);
void AddCheck(CLI::App& app, Actions& actions);
void AddBus(CLI::App& app, Actions& actions);  // attach, detach, show
void AddProfiles(CLI::App& app, Actions& actions);
void AddState(CLI::App& app, Actions& actions);
void AddCoalesce(CLI::App& app, Actions& actions);
void AddSimulate(CLI::App& app, Actions& actions);
void AddTune(CLI::App& app, Actions& actions);

// The exit code of a command, once its error is in the log. InvalidArgument is
// an error of the command line where `judges_options` is set.
base::ExitCode Report(const absl::Status& status, bool judges_options = false);

}  // namespace cli

#endif  // VDUSE_NET_CLI_CLI_H_
