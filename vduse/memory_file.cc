// SPDX-License-Identifier: Apache-2.0
#include "vduse/memory_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <string>
#include <string_view>

namespace vduse {
namespace {

// The kernel's name for the memory of a VDUSE device, which is bounce pages and
// rings. The name of a file in a file system begins with '/' instead.
constexpr std::string_view kVduseName = "anon_inode:[vduse-domain]";

// The name of an open file, as the kernel alone gives it. The driver may have
// chosen the name, so characters that cannot be printed are replaced.
std::string FileName(int fd) {
  std::array<char, 128> text;
  const std::string link = fmt::format("/proc/self/fd/{}", fd);
  const ssize_t n = readlink(link.c_str(), text.data(), text.size());
  if (n < 0) return "";
  std::string name(text.data(), static_cast<size_t>(n));
  for (char& c : name) {
    if (c < ' ' || c > '~') c = '?';
  }
  return name;
}

}  // namespace

absl::StatusOr<MemoryFile> JudgeMemoryFile(int fd) {
  MemoryFile file;
  file.page_size = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  // Every file of tmpfs and hugetlbfs has seals, and no other file has. The
  // kernel answers this by itself; fstat and fstatfs would ask FUSE's process.
  if (fcntl(fd, F_GET_SEALS) < 0) {
    const std::string name = FileName(fd);
    if (name == kVduseName) return file;
    return absl::FailedPreconditionError(fmt::format(
        "driver memory is in '{}': only memfd, tmpfs, hugetlbfs and VDUSE's "
        "own memory are mapped, as a page fault in other files may never end",
        name.empty() ? "a file of unknown name (no /proc?)" : name));
  }
  struct stat status = {};
  struct statfs system = {};
  if (fstat(fd, &status) != 0 || fstatfs(fd, &system) != 0) {
    return absl::ErrnoToStatus(errno, "fstat of driver memory");
  }
  file.identified = true;
  file.device = status.st_dev;
  file.inode = status.st_ino;
  file.bytes = static_cast<uint64_t>(status.st_size);
  if (static_cast<uint64_t>(system.f_type) == HUGETLBFS_MAGIC) {
    const auto block = static_cast<uint64_t>(system.f_bsize);
    if (!std::has_single_bit(block) || block < file.page_size) {
      return absl::InternalError(
          fmt::format("hugetlbfs with pages of {} bytes", block));
    }
    file.huge = true;
    file.page_size = block;
  }
  return file;
}

}  // namespace vduse
