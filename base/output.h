// SPDX-License-Identifier: Apache-2.0
//
// Standard output, for commands that print a result.
#ifndef VDUSE_NET_BASE_OUTPUT_H_
#define VDUSE_NET_BASE_OUTPUT_H_

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "absl/status/status.h"

namespace base {

// Writes to standard output. FlushOutput() reports write errors.
void Write(std::string_view text);

template <typename... Args>
void Print(fmt::format_string<Args...> format, Args&&... args) {
  Write(fmt::format(format, std::forward<Args>(args)...));
}

// Flushes standard output; call after the last Write(). Returns the first error
// of any write since the program started, such as a full disk.
absl::Status FlushOutput();

}  // namespace base

#endif  // VDUSE_NET_BASE_OUTPUT_H_
