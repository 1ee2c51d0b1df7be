// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_DEVICE_PROCESS_H_
#define VDUSE_NET_DAEMON_DEVICE_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "daemon/device_child.h"
#include "daemon/device_messages.h"
#include "daemon/pulse_board.h"

namespace program {

// A child process that serves the device: the driver's memory, its queues and
// its commands are touched there and nowhere else. The process may be killed at
// any time, and another one goes on where it stopped.
//
// Started ahead, a device process waits until kServe gives it the device, and
// until then it ends with its parent. From then on it outlives its parent: it
// goes on, and waits for another one (HandOver). One thread.
class DeviceProcess {
 public:
  // Forks. The child keeps what `setup` names, and no other descriptor.
  static absl::StatusOr<DeviceProcess> Start(const DeviceSetup& setup);

  pid_t pid() const { return pid_; }
  // Readable when a report waits, or when the process has ended.
  int fd() const { return socket_.get(); }

  // Sends an order with copies of `fds`. Never waits: false if the process does
  // not read what it is sent, or has ended.
  [[nodiscard]] bool Send(const DeviceOrder& order,
                          std::span<const int> fds = {});

  struct Report : DeviceReport {
    std::vector<base::UniqueFd> fds;
  };
  // The next report, if one waits.
  std::optional<Report> Next();

  const PulseBoard& pulses() const { return *pulses_; }

  void Kill() const;

 private:
  DeviceProcess(pid_t pid, base::UniqueFd socket,
                std::unique_ptr<PulseBoard> pulses)
      : pid_(pid), socket_(std::move(socket)), pulses_(std::move(pulses)) {}

  pid_t pid_;
  base::UniqueFd socket_;
  std::unique_ptr<PulseBoard> pulses_;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_DEVICE_PROCESS_H_
