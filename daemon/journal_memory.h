// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_JOURNAL_MEMORY_H_
#define VDUSE_NET_DAEMON_JOURNAL_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace program {

// The memory of a device's journals (net::NetDevice::Options::journal): a file
// without a name, which each process of the device passes on to the next. The
// kernel frees it with its last descriptor and mapping.

// Creates one of `bytes`, all zeros. It cannot change its size.
absl::StatusOr<base::UniqueFd> CreateJournal(size_t bytes);

// Whether `fd`, which a process of any release may have created, is one of
// `bytes`.
bool IsJournal(int fd, size_t bytes);

// Maps a journal of `bytes` until the process ends.
absl::StatusOr<std::span<uint8_t>> MapJournal(int fd, size_t bytes);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_JOURNAL_MEMORY_H_
