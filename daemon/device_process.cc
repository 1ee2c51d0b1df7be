// SPDX-License-Identifier: Apache-2.0
#include "daemon/device_process.h"

#include <signal.h>

#include "daemon/child_process.h"
#include "daemon/fd_message.h"

namespace program {

absl::StatusOr<DeviceProcess> DeviceProcess::Start(const DeviceSetup& setup) {
  absl::StatusOr<SocketPair> sockets = MakeSocketPair();
  if (!sockets.ok()) return sockets.status();
  absl::StatusOr<std::unique_ptr<PulseBoard>> pulses = PulseBoard::Create();
  if (!pulses.ok()) return pulses.status();
  const absl::StatusOr<pid_t> pid = StartChild(
      {.name = "vduse-net-stby",
       .keep = {sockets->theirs.get(), setup.operator_listener,
                setup.hand_over_listener, setup.journal}},
      [&] { RunDeviceChild(setup, std::move(sockets->theirs), **pulses); });
  if (!pid.ok()) return pid.status();
  return DeviceProcess(*pid, std::move(sockets->ours), std::move(*pulses));
}

bool DeviceProcess::Send(const DeviceOrder& order, std::span<const int> fds) {
  return SendMessage(socket_.get(), std::as_bytes(std::span(&order, 1)), fds,
                     IfFull::kFail);
}

std::optional<DeviceProcess::Report> DeviceProcess::Next() {
  Report report;
  DeviceReport& message = report;
  absl::StatusOr<std::vector<base::UniqueFd>> fds = ReceiveMessage(
      socket_.get(), std::as_writable_bytes(std::span(&message, 1)),
      IfEmpty::kFail);
  if (!fds.ok()) return std::nullopt;
  report.fds = std::move(*fds);
  return report;
}

void DeviceProcess::Kill() const { kill(pid_, SIGKILL); }

}  // namespace program
