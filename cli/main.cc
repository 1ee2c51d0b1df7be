// SPDX-License-Identifier: Apache-2.0
//
// The command line of vduse-net.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/output.h"
#include "base/standard_fds.h"
#include "cli/cli.h"
#include "cli/cli_parse.h"

namespace cli {

base::ExitCode Report(const absl::Status& status, bool judges_options) {
  if (status.ok()) return base::kExitOk;
  return base::Fail(judges_options && absl::IsInvalidArgument(status)
                        ? base::kExitUsage
                        : base::kExitFailure,
                    status);
}

namespace {

void AddHelp(CLI::App& app, Actions& actions) {
  const auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* help = app.add_subcommand("help", "Describe a command");
  help->add_option("COMMAND", *words, "Like `coalesce set`");
  actions[help] = [&app, words] {
    return Report(PrintHelp(app, *words), /*judges_options=*/true);
  };
}

base::ExitCode Dispatch(int argc, char** argv) {
  CLI::App app(
      "A virtio-net device for the kernel's vDPA bus, in userspace, over a "
      "TAP, with notification coalescing",
      "vduse-net");
  app.require_subcommand(1);
  app.set_version_flag("-V,--version", VDUSE_NET_VERSION);
  Actions actions;
  for (const auto add : {AddRun, AddSimulate, AddTune, AddCheck, AddBus,
                         AddProfiles, AddState, AddCoalesce, AddHelp}) {
    add(app, actions);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return Explain(app, error);
  }
  return actions.at(Given(app))();
}

int Main(int argc, char** argv) {
  const base::ExitCode code = Dispatch(argc, argv);
  const absl::Status written = base::FlushOutput();
  return written.ok() ? code : base::Fail(base::kExitFailure, written);
}

}  // namespace
}  // namespace cli

// Nothing here survives its own lack of memory, the parser included.
int main(int argc, char** argv) {  // NOLINT(bugprone-exception-escape)
  if (!base::OpenStandardFds()) return base::kExitFailure;
  return cli::Main(argc, argv);
}
