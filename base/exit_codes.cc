// SPDX-License-Identifier: Apache-2.0
#include "base/exit_codes.h"

#include "base/log.h"
#include "base/status_text.h"

namespace base {

ExitCode Fail(ExitCode code, const absl::Status& status) {
  Log(Severity::kError, "{}", Text(status));
  return code;
}

}  // namespace base
