// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_RPC_DEVICE_SERVICE_H_
#define VDUSE_NET_RPC_DEVICE_SERVICE_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coalesce/param_table.h"
#include "net/device/coalescing_report.h"
#include "rpc/varlink_server.h"

namespace rpc {

// The varlink interface of a device's process.
inline constexpr char kDeviceInterface[] = "org.vduse-net.Device";
extern const char kDeviceDescription[];

// Where it listens.
std::string DeviceSocket(const std::string& state_dir, const std::string& name);

// What the interface is about: a device, seen from its operator.
struct DeviceOperations {
  std::string name;
  std::function<coalesce::Setting(coalesce::Direction)> setting;
  // In force on return, but where the driver has asked for something.
  std::function<void(coalesce::Direction, const coalesce::Setting&)>
      change_setting;
  std::function<std::vector<net::CoalescingReport>()> report;
  // A device's state for another host, as JSON text.
  std::function<absl::StatusOr<std::string>()> state;
};

// The interface, over the operations of a device. `device` is copied.
VarlinkInterface DeviceService(const DeviceOperations& device);

// Part of a setting that the operator wants otherwise.
struct SettingChange {
  std::optional<uint32_t> usecs;
  std::optional<uint32_t> frames;
  std::optional<bool> adaptive;
  std::optional<coalesce::Goal> goal;

  bool empty() const { return !usecs && !frames && !adaptive && !goal; }
};

// What a queue is to achieve if it is to be adaptive and nobody has said how.
inline constexpr coalesce::Goal kDefaultGoal = {
    .kind = coalesce::Goal::Kind::kTargetLatency, .value = 50};

// The setting with the change made.
coalesce::Setting Changed(coalesce::Setting setting,
                          const SettingChange& change);

// As the interface has it.
nlohmann::json ToJson(const SettingChange& change);

}  // namespace rpc

#endif  // VDUSE_NET_RPC_DEVICE_SERVICE_H_
