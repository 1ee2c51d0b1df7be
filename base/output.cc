// SPDX-License-Identifier: Apache-2.0
#include "base/output.h"

#include <errno.h>

#include <cstdio>

namespace base {
namespace {

int write_error = 0;  // errno of the first write that failed

}  // namespace

void Write(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() &&
      write_error == 0) {
    write_error = errno;
  }
}

absl::Status FlushOutput() {
  if (std::fflush(stdout) != 0 && write_error == 0) write_error = errno;
  if (write_error == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(write_error, "write error on standard output");
}

}  // namespace base
