// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_RPC_DEVICE_SERVICE_H_
#define VDUSE_NET_RPC_DEVICE_SERVICE_H_

#include <sys/types.h>

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

// The path of the socket on which the device's process listens.
std::string DeviceSocket(const std::string& state_dir, const std::string& name);

// A process of a device, and what the kernel lets it do.
struct ProcessReport {
  std::string role;  // as in the interface
  pid_t pid = 0;
  bool sandboxed = false;
  uid_t user = 0;
  std::vector<std::string> capabilities;  // names such as "net_admin"
  bool no_new_privileges = false;
  bool no_dumps = false;
  bool calls_filtered = false;
  int landlock = 0;  // the ABI in force; 0: none
  std::string text;  // all of that in words
};

// The operations of a device that its operator can use through the interface.
struct DeviceOperations {
  std::string name;
  std::function<coalesce::Setting(coalesce::Direction)> setting;
  // The setting is in force on return, except on queues for which the driver
  // has set parameters.
  std::function<void(coalesce::Direction, const coalesce::Setting&)>
      change_setting;
  std::function<std::vector<net::CoalescingReport>()> report;
  // The device's state for another host, as JSON text.
  std::function<absl::StatusOr<std::string>()> state;
  std::function<std::vector<ProcessReport>()> processes;
};

// The interface over the operations of a device. `device` is copied.
VarlinkInterface DeviceService(const DeviceOperations& device);

// The parts of a setting that the operator wants to change.
struct SettingChange {
  std::optional<uint32_t> usecs;
  std::optional<uint32_t> frames;
  std::optional<bool> adaptive;
  std::optional<coalesce::Goal> goal;

  bool empty() const { return !usecs && !frames && !adaptive && !goal; }
};

// The goal of an adaptive queue if the operator has not set one.
inline constexpr coalesce::Goal kDefaultGoal = {
    .kind = coalesce::Goal::Kind::kTargetLatency, .value = 50};

// Returns `setting` with `change` applied.
coalesce::Setting Changed(coalesce::Setting setting,
                          const SettingChange& change);

// `change` in the form that the interface uses.
nlohmann::json ToJson(const SettingChange& change);

}  // namespace rpc

#endif  // VDUSE_NET_RPC_DEVICE_SERVICE_H_
