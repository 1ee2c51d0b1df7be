// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_DRIVER_SETTINGS_H_
#define VDUSE_NET_NET_DEVICE_DRIVER_SETTINGS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/log.h"
#include "coalesce/param_table.h"
#include "net/device/command_target.h"
#include "net/device/device_state.h"
#include "net/device/driver_session.h"
#include "net/device/link_status.h"
#include "net/device/queue_table.h"
#include "net/path/port_drops.h"
#include "net/path/worker_pool.h"
#include "net/wire/config_space.h"
#include "vduse/device.h"

namespace net {

// What the driver has set, by negotiation and by command: owns the DeviceState
// and the coalescing parameters. A change is made persistent first, then put in
// force on the workers, then logged.
//
//   driver_commands.cc  the driver's commands (CommandTarget)
//   driver_settings.cc  what outlives a driver, a suspend, the process; what
//                       the operator has set
//
// It decides nothing about the driver's life: NetDevice says when a driver
// begins and ends. On the control thread. No method waits for anything but the
// current step of a worker.
class DriverSettings final : public CommandTarget {
 public:
  using Origin = DriverSession::Origin;

  struct Options {
    uint64_t features = 0;  // offered
    uint32_t queue_pairs = 1;
    MacAddress mac{};  // the device's; all zero: unknown
    // The operator's settings.
    coalesce::Setting rx;
    coalesce::Setting tx;
    // Writes the state for a successor. May be empty.
    std::function<void(const DeviceState&)> persist;
    std::function<Instant()> clock;  // tells the time
  };
  // The parts of the device that a setting reaches. Each must outlive this
  // object.
  struct Parts {
    vduse::Device& device;
    const DriverSession& session;
    QueueTable& queues;
    WorkerPool& workers;
    LinkStatus& link;
    const PortDrops& port_drops;
  };

  DriverSettings(const Parts& parts, Options options);

  // The driver-visible state, with the positions of the QueueTable.
  DeviceState state() const;
  DeviceState::Phase phase() const { return state_.phase; }
  uint64_t guest_offloads() const { return state_.guest_offloads; }
  uint16_t active_pairs() const { return state_.active_pairs; }
  uint32_t asid(uint32_t group) const { return state_.asids[group]; }
  LinkStatus::Announcement announcement() const;

  coalesce::ParamTable& params() { return params_; }
  const coalesce::ParamTable& params() const { return params_; }

  void Persist();

  // --- What is known of a driver before it begins ---

  // Uses the state that an earlier process of this device has saved. False if
  // the state is of another device: it is not used then.
  [[nodiscard]] bool Adopt(const DeviceState& saved);
  // Undoes a saved reset that has not happened: the previous process was killed
  // before the kernel got its answer.
  void ForgetReset();
  // Uses the state of another device for the next driver.
  //   InvalidArgument: the state does not fit this device.
  absl::Status Restore(const DeviceState& saved);

  // --- A driver's life ---

  // The driver is active with `features`. If it was there before, what it had
  // set is in force again.
  void BeginDriver(uint64_t features, Origin origin);
  // It is unknown which packets the driver wants: it gets all of them.
  void PassAllPackets();
  // The settings are kept for a driver that continues.
  void EndDriver();
  void Suspend();

  // Puts a virtqueue group into another address space; returns the one before.
  uint32_t SetAsid(uint32_t group, uint32_t asid);
  // Puts every group into address space 0. False if all were there.
  [[nodiscard]] bool ResetAsids();

  // A reset undoes a MAC address that the driver has set.
  void ShowDeviceMac() { ShowMac(options_.mac); }

  // The operator's setting is in force on return, except on queues for which
  // the driver has set parameters.
  void SetOperatorCoalescing(coalesce::Direction direction,
                             const coalesce::Setting& setting);

  // CommandTarget
  void SetCoalescing(coalesce::Direction direction,
                     coalesce::Params params) override;
  bool SetQueueCoalescing(uint32_t queue, coalesce::Params params) override;
  std::optional<coalesce::Params> QueueCoalescing(
      uint32_t queue) const override;
  bool SetGuestOffloads(uint64_t offloads) override;
  bool SetQueuePairs(uint16_t pairs) override;
  void SetRxMode(RxMode mode, RxModeSwitch to) override;
  void SetMacTables(const MacTable& unicast,
                    const MacTable& multicast) override;
  bool SetMac(const MacAddress& mac) override;
  bool AddVlan(uint16_t id) override;
  bool DeleteVlan(uint16_t id) override;
  bool AcknowledgeAnnounce() override;
  std::optional<QueueStats> Stats(uint32_t queue) const override;

 private:
  bool VmmSendsCommands() const;
  void FilterChanged();
  void ShowMac(const MacAddress& mac);
  void ApplyCoalescing(coalesce::Direction direction);
  void ApplyQueueCoalescing(uint32_t queue);
  void LogCoalescing(const std::string& command, coalesce::Params params);

  const Parts parts_;
  const Options options_;
  coalesce::ParamTable params_;
  // Without the positions, which the QueueTable has.
  DeviceState state_;

  // Limits on the log lines that a driver can cause, by kind.
  base::LogLimiter change_log_{20};
  base::LogLimiter return_log_{4};
  base::LogLimiter config_log_{4};
};

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_DRIVER_SETTINGS_H_
