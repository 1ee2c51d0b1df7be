// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_PORT_DROPS_H_
#define VDUSE_NET_NET_PATH_PORT_DROPS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/unique_fd.h"

namespace net {

// Packets that a TAP's interface has dropped, as its queues were full: the
// driver offered too few buffers, or the device was too slow. The kernel counts
// them for the interface as a whole. One thread.
class PortDrops {
 public:
  // The file with the interface's counter; none if it cannot be opened. It
  // stays good when the interface is renamed or moved to another network
  // namespace. Neither this nor a read takes the rtnl lock.
  static base::UniqueFd OpenFile(const std::string& interface_name);

  // Goes on with another file. Without a readable one nothing is counted.
  void SetFile(base::UniqueFd file);

  // From now on they count, or no longer: nobody loses what comes while there
  // is no driver.
  void Start();
  void Stop();

  // While they did.
  uint64_t count() const { return before_ + Running(); }

 private:
  std::optional<uint64_t> Read() const;
  uint64_t Running() const;

  base::UniqueFd file_;
  bool counting_ = false;
  uint64_t begin_ = 0;         // what the file said at the start
  mutable uint64_t last_ = 0;  // and what it said last
  uint64_t before_ = 0;        // of earlier times and files
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_PORT_DROPS_H_
