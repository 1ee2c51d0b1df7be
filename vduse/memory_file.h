// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_MEMORY_FILE_H_
#define VDUSE_NET_VDUSE_MEMORY_FILE_H_

#include <sys/types.h>

#include <cstdint>

#include "absl/status/statusor.h"

namespace vduse {

// A file that holds memory of the driver.
struct MemoryFile {
  // Mappings start at a multiple of it, and are as long: 2 MiB or 1 GiB in
  // hugetlbfs.
  uint64_t page_size = 0;
  bool huge = false;  // hugetlbfs
  // Whether device and inode tell it from all others, and `bytes` is its size.
  // Not so of VDUSE's own memory.
  bool identified = false;
  dev_t device = 0;
  ino_t inode = 0;
  uint64_t bytes = 0;
};

// Finds out whether `fd` is memory: tmpfs (memfd, System V), hugetlbfs, or
// VDUSE's own. Nothing else may be mapped: a page fault in a file of a disk, a
// network file system or FUSE waits for others, the driver's own process among
// them. For the same reason nothing is asked here of the file system itself
// before it is known.
//   FailedPrecondition: something else, with its name.
absl::StatusOr<MemoryFile> JudgeMemoryFile(int fd);

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_MEMORY_FILE_H_
