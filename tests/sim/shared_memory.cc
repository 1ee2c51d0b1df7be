// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/shared_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "tests/support/must.h"

namespace sim {

using tests::Must;

SharedMemory::SharedMemory(size_t bytes)
    : bytes_(bytes), file_(NewFile()), saved_(bytes) {
  Map(file_.get());
}

SharedMemory::~SharedMemory() { munmap(data_, bytes_); }

base::UniqueFd SharedMemory::NewFile() const {
  base::UniqueFd file(memfd_create("simulated-memory", MFD_CLOEXEC));
  Must(static_cast<bool>(file), "memfd_create");
  Must(ftruncate(file.get(), static_cast<off_t>(bytes_)) == 0, "ftruncate");
  return file;
}

// At the same address as before.
void SharedMemory::Map(int fd) {
  void* const at = mmap(data_, bytes_, PROT_READ | PROT_WRITE,
                        MAP_SHARED | (data_ != nullptr ? MAP_FIXED : 0), fd, 0);
  Must(at != MAP_FAILED, "mmap");
  data_ = static_cast<uint8_t*>(at);
}

void SharedMemory::Move() {
  base::UniqueFd next = NewFile();
  std::vector<uint8_t> contents(data_, data_ + bytes_);
  std::memset(data_, 0xa5, bytes_);
  Map(next.get());
  std::memcpy(data_, contents.data(), bytes_);
  file_ = std::move(next);
}

void SharedMemory::Clear() { std::memset(data_, 0, bytes_); }

void SharedMemory::Save() { std::memcpy(saved_.data(), data_, bytes_); }

void SharedMemory::Restore() { std::memcpy(data_, saved_.data(), bytes_); }

}  // namespace sim
