// SPDX-License-Identifier: Apache-2.0
//
// vduse-net.
#include "absl/status/status.h"
#include "base/exit_codes.h"
#include "base/output.h"
#include "base/standard_fds.h"
#include "cli/command.h"

int main(int argc, char** argv) {
  if (!base::OpenStandardFds()) return base::kExitFailure;
  const base::ExitCode code = cli::RunCommandLine(argc, argv);
  const absl::Status written = base::FlushOutput();
  return written.ok() ? code : base::Fail(base::kExitFailure, written);
}
