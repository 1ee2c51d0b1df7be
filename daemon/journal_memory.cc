// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace program {
namespace {

// A mapping of a file that shrinks would fault.
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

}  // namespace

absl::StatusOr<base::UniqueFd> CreateJournal(size_t bytes) {
  base::UniqueFd file(
      memfd_create("vduse-net-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file || ftruncate(file.get(), static_cast<off_t>(bytes)) != 0 ||
      fcntl(file.get(), F_ADD_SEALS, kSeals) != 0) {
    return absl::ErrnoToStatus(errno, "memory for a journal");
  }
  return file;
}

bool IsJournal(int fd, size_t bytes) {
  struct stat status = {};
  const int seals = fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 &&
         fstat(fd, &status) == 0 && status.st_size == static_cast<off_t>(bytes);
}

absl::StatusOr<std::span<uint8_t>> MapJournal(int fd, size_t bytes) {
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    return absl::ErrnoToStatus(errno, "mmap of a journal");
  }
  return std::span(static_cast<uint8_t*>(memory), bytes);
}

}  // namespace program
