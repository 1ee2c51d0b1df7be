// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_TEXT_FILE_H_
#define VDUSE_NET_BASE_TEXT_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace base {

// What is longer is no file of ours.
inline constexpr size_t kMaxTextFileBytes = size_t{1} << 20;

// Writes a regular file for the owner alone, or leaves what was there.
//   FailedPrecondition: something else has that name.
absl::Status WriteFile(const std::string& path, const std::string& text);

// Never waits for somebody who writes.
//   InvalidArgument: it is not a regular file, or too long.
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace base

#endif  // VDUSE_NET_BASE_TEXT_FILE_H_
