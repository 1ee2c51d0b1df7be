// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_TEXT_FILE_H_
#define VDUSE_NET_BASE_TEXT_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace base {

// Longer files are refused: none that this program writes is as long.
inline constexpr size_t kMaxTextFileBytes = size_t{1} << 20;

// Writes a regular file that only its owner may read and write. On error the
// file that was there stays as it was.
//   FailedPrecondition: `path` exists and is not a regular file.
absl::Status WriteFile(const std::string& path, const std::string& text);

// Reads a regular file. Never waits for a writer, as reading a FIFO would.
//   InvalidArgument: it is not a regular file, or is longer than
//     kMaxTextFileBytes.
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace base

#endif  // VDUSE_NET_BASE_TEXT_FILE_H_
