// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_PULSE_BOARD_H_
#define VDUSE_NET_DAEMON_PULSE_BOARD_H_

#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "net/path/pulse.h"
#include "net/wire/config_space.h"

namespace program {

// The pulses of a device process, in memory that it shares with its parent.
class PulseBoard {
 public:
  static absl::StatusOr<std::unique_ptr<PulseBoard>> Create();
  PulseBoard(const PulseBoard&) = delete;
  PulseBoard& operator=(const PulseBoard&) = delete;
  ~PulseBoard();

  // Grows while some thread makes progress.
  uint64_t turns() const;

  net::Pulse& control() { return pulses_[0]; }
  const net::Pulse& control() const { return pulses_[0]; }
  std::span<net::Pulse> workers() { return {pulses_ + 1, net::kMaxQueuePairs}; }
  std::span<const net::Pulse> workers() const {
    return {pulses_ + 1, net::kMaxQueuePairs};
  }

 private:
  explicit PulseBoard(net::Pulse* pulses) : pulses_(pulses) {}

  net::Pulse* pulses_;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_PULSE_BOARD_H_
