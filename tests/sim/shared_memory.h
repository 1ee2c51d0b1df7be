// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SIM_SHARED_MEMORY_H_
#define VDUSE_NET_TESTS_SIM_SHARED_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/unique_fd.h"

namespace sim {

// Memory that outlives a process, in a file: the driver's, which the device
// maps, or the journal.
class SharedMemory {
 public:
  explicit SharedMemory(size_t bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  // The driver's pointer, which never changes.
  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  int fd() const { return file_.get(); }

  // Moves the contents to another file. What the device still finds in the old
  // file is nonsense.
  void Move();

  // Makes all of it zero.
  void Clear();

  // Remembers the contents, and restores what was remembered.
  void Save();
  void Restore();

 private:
  base::UniqueFd NewFile() const;
  void Map(int fd);

  const size_t bytes_;
  base::UniqueFd file_;
  uint8_t* data_ = nullptr;
  std::vector<uint8_t> saved_;
};

}  // namespace sim

#endif  // VDUSE_NET_TESTS_SIM_SHARED_MEMORY_H_
