// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_MEMORY_FILE_H_
#define VDUSE_NET_VDUSE_MEMORY_FILE_H_

#include <sys/types.h>

#include <cstdint>

#include "absl/status/statusor.h"

namespace vduse {

// A file that holds the driver's memory.
struct MemoryFile {
  // Mappings start at a multiple of the page size, and their length is a
  // multiple of it. In hugetlbfs: 2 MiB or 1 GiB.
  uint64_t page_size = 0;
  bool huge = false;  // hugetlbfs
  // Whether `device` and `inode` identify the file and `bytes` is its size.
  // False for VDUSE's own memory.
  bool identified = false;
  dev_t device = 0;
  ino_t inode = 0;
  uint64_t bytes = 0;
};

// Checks that `fd` is memory: tmpfs (memfd, System V), hugetlbfs, or VDUSE's
// own. No other file may be mapped: a page fault in a file on a disk, a network
// file system or FUSE waits for others, possibly for the driver's own process.
// For the same reason, no call that the file system would answer is made before
// the kind of the file is known.
//   FailedPrecondition: another kind of file; the message has its name.
absl::StatusOr<MemoryFile> JudgeMemoryFile(int fd);

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_MEMORY_FILE_H_
