// SPDX-License-Identifier: Apache-2.0
//
// Standard output, for commands that print what they were asked for.
#ifndef VDUSE_NET_BASE_OUTPUT_H_
#define VDUSE_NET_BASE_OUTPUT_H_

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "absl/status/status.h"

namespace base {

// Writes to standard output. FlushOutput() tells of what could not be written.
void Write(std::string_view text);

template <typename... Args>
void Print(fmt::format_string<Args...> format, Args&&... args) {
  Write(fmt::format(format, std::forward<Args>(args)...));
}

// To be called once everything is printed. The error says why some of it was
// not written, such as that the disk is full.
absl::Status FlushOutput();

}  // namespace base

#endif  // VDUSE_NET_BASE_OUTPUT_H_
