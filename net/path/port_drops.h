// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_PORT_DROPS_H_
#define VDUSE_NET_NET_PATH_PORT_DROPS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/unique_fd.h"

namespace net {

// Counts packets that a TAP's interface dropped because its queues were full:
// the driver offered too few buffers, or the device was too slow. The kernel
// has one such count per interface. One thread.
class PortDrops {
 public:
  // Opens the file with the interface's counter; an empty descriptor if that
  // fails. The file stays valid when the interface is renamed or moved to
  // another network namespace. Neither opening nor reading it takes the rtnl
  // lock.
  static base::UniqueFd OpenFile(const std::string& interface_name);

  // Continues with another file. Without a readable one nothing is counted.
  void SetFile(base::UniqueFd file);

  // Start or stop counting. Drops while there is no driver do not count,
  // because no driver loses them.
  void Start();
  void Stop();

  // Drops while counting.
  uint64_t count() const { return before_ + Running(); }

 private:
  std::optional<uint64_t> Read() const;
  uint64_t Running() const;

  base::UniqueFd file_;
  bool counting_ = false;
  uint64_t begin_ = 0;         // the file's value at Start()
  mutable uint64_t last_ = 0;  // the file's value when last read
  uint64_t before_ = 0;        // drops of earlier runs and files
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_PORT_DROPS_H_
