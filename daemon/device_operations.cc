// SPDX-License-Identifier: Apache-2.0
#include "daemon/device_operations.h"

#include "daemon/sandbox.h"
#include "state/migration_state.h"

namespace program {
namespace {

const char* NameOfPlace(SandboxBoard::Place place) {
  switch (place) {
    case SandboxBoard::Place::kSupervisor:
      return "supervisor";
    case SandboxBoard::Place::kDevice:
      return "device";
    case SandboxBoard::Place::kStandby:
      return "standby";
    case SandboxBoard::Place::kAdministration:
      return "administration";
  }
  return "";
}

std::vector<rpc::ProcessReport> ProcessesOn(const SandboxBoard* board) {
  std::vector<rpc::ProcessReport> processes;
  if (board == nullptr) return processes;
  for (const SandboxBoard::Entry& entry : board->Entries()) {
    const SandboxReport& report = entry.report;
    processes.push_back({.role = NameOfPlace(entry.place),
                         .pid = entry.pid,
                         .sandboxed = report.on,
                         .user = report.uid,
                         .capabilities = CapabilitiesOf(report),
                         .no_new_privileges = report.no_new_privs,
                         .no_dumps = report.no_dumps,
                         .calls_filtered = report.filtered,
                         .landlock = report.landlock_abi,
                         .text = Describe(report)});
  }
  return processes;
}

}  // namespace

rpc::DeviceOperations OperationsOf(const std::string& name, net::NetDevice& net,
                                   state::SavedState& saved,
                                   const std::function<void()>& save,
                                   const SandboxBoard* board) {
  rpc::DeviceOperations device;
  device.name = name;
  device.setting = [&net](coalesce::Direction direction) {
    return net.operator_coalescing(direction);
  };
  device.change_setting = [&net, &saved, save](
                              coalesce::Direction direction,
                              const coalesce::Setting& setting) {
    (direction == coalesce::Direction::kRx ? saved.operator_rx
                                           : saved.operator_tx) = setting;
    save();
    net.SetOperatorCoalescing(direction, setting);
  };
  device.report = [&net] { return net.ReportCoalescing(); };
  device.state = [&net, &saved] {
    return state::FormatMigrationState({.mac = saved.mac,
                                        .mtu = saved.mtu,
                                        .queue_size = saved.queue_size,
                                        .device = net.state()});
  };
  device.processes = [board] { return ProcessesOn(board); };
  return device;
}

}  // namespace program
