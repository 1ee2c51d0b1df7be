// SPDX-License-Identifier: Apache-2.0
#include "daemon/device_operations.h"

#include "state/migration_state.h"

namespace program {

rpc::DeviceOperations OperationsOf(const std::string& name, net::NetDevice& net,
                                   state::SavedState& saved,
                                   const std::function<void()>& save) {
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
  return device;
}

}  // namespace program
