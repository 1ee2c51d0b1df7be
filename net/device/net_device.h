// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_NET_DEVICE_H_
#define VDUSE_NET_NET_DEVICE_NET_DEVICE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "net/device/coalescing_report.h"
#include "net/device/ctrl_server.h"
#include "net/device/device_state.h"
#include "net/device/driver_session.h"
#include "net/device/driver_settings.h"
#include "net/device/link_status.h"
#include "net/device/queue_table.h"
#include "net/device/statistics.h"
#include "net/path/port_drops.h"
#include "net/path/pulse.h"
#include "net/path/tap.h"
#include "net/path/worker_pool.h"
#include "net/wire/config_space.h"
#include "vduse/device.h"
#include "vduse/session.h"

namespace net {

// A virtio network device (virtio 1.3, 5.1) on top of a VDUSE device. It owns
// the parts that the device consists of, and makes them follow the kernel's
// requests, the TAP and the clock:
//
//   DriverSession   how far the driver has come, and where it comes from
//   DriverSettings  what the driver has set, and its commands
//   QueueTable      each virtqueue's purpose, state and position
//   CtrlServer      the control queue
//   LinkStatus      the link, announcements, config interrupts
//   WorkerPool      the data queues, each pair on a thread of its own
//
// A part reaches only what its constructor is given, and no part reaches the
// NetDevice.
//
//   net_device.cc                creation, TAP, memory, Serve()
//   net_device_driver.cc         a driver's life: status, suspend, adoption
//   net_device_queues.cc         how virtqueues start and stop
//   net_device_commands_only.cc  a driver whose DRIVER_OK is not in force
//
// All methods run on one thread, the control thread. No method waits for
// anything but a worker's current step.
class NetDevice final : public vduse::RequestHandler {
 public:
  struct Options {
    uint64_t features = 0;  // offered
    uint32_t queue_pairs = 1;
    uint16_t mtu = 1500;
    // The size that the device was made with. A VMM may set up larger queues
    // all the same.
    uint32_t max_queue_size = vduse::kMaxQueueSize;
    Engine engine = Engine::kAuto;
    Duration busy_poll{};        // longest busy-poll before a sleep
    Duration timer_poll{};       // time before a deadline without sleeps
    std::vector<int> cpus = {};  // for the workers, in turn; empty: any
    // Where each worker shows its progress; may be empty. Must outlive the
    // device.
    std::span<Pulse> pulses = {};
    MacAddress mac{};  // the device's; all zero: unknown
    // Memory that a successor inherits: JournalBytes(queue_pairs) bytes from a
    // page boundary, which outlive the device. It is all zeros, or as a
    // predecessor has left it, and is not read before a queue starts or the TAP
    // is set. Without it, a crash may lose or repeat packets.
    std::span<uint8_t> journal = {};
    // The operator's setting: it applies until the driver sets another, and
    // again after a reset.
    coalesce::Setting rx;
    coalesce::Setting tx;
    // Called before a change by the driver takes effect.
    std::function<void(const DeviceState&)> persist;
    // What tells the time, and what runs the queue pairs. A simulation has its
    // own.
    std::function<Instant()> clock = Now;
    WorkerPool::StartRunner start_runner = Worker::Start;
  };

  static constexpr size_t JournalBytes(uint32_t queue_pairs) {
    return queue_pairs * PairJournal::kBytes;
  }

  // `device` must outlive the result and have exactly the virtqueues that the
  // options call for.
  //   FailedPrecondition: it has another number of virtqueues.
  //   InvalidArgument: the journal has another size, or is not at a page
  //     boundary.
  static absl::StatusOr<std::unique_ptr<NetDevice>> Create(
      vduse::Device& device, Options options);
  ~NetDevice() override;
  NetDevice(const NetDevice&) = delete;
  NetDevice& operator=(const NetDevice&) = delete;

  // Takes over a device that an earlier process served: resumes where that
  // process stopped, with what the driver had set. Call it before the first
  // Serve().
  void Resume(const std::optional<DeviceState>& saved);

  // Takes the state of another device: the next driver resumes it if that
  // driver accepts the same features. Call it before the first Serve().
  //   InvalidArgument: the state does not fit this device.
  absl::Status Restore(const DeviceState& saved) {
    return settings_.Restore(saved);
  }

  // Makes this a caretaker, which keeps the host going for a driver that nobody
  // can serve: it answers the kernel, refuses every command, and serves no data
  // queue. Call it before Resume().
  void BecomeCaretaker();

  // The device's state. It may be moved to another device only if its phase
  // says that no driver is active here.
  DeviceState state() const { return settings_.state(); }

  // Gives each pair its queue of a TAP; there must be as many queues as pairs.
  // Until then the virtqueues wait. `drops` is the file from
  // PortDrops::OpenFile() for the TAP's interface.
  absl::Status SetTap(std::vector<Tap> queues, base::UniqueFd drops = {});

  // Sets the state of the TAP's link; the driver sees it in its configuration
  // space.
  void SetLink(bool up);

  // Answers the kernel, then the driver's commands, then checks the queues.
  // Call it on every wake-up; it is cheap if there is nothing to do.
  //   Aborted: the device is broken for good.
  absl::Status Serve(Instant now);

  // Descriptors to poll for reading, in addition to the device's own.
  int ctrl_kick_fd() const { return ctrl_.kick_fd(); }
  int attention_fd() const { return attention_.get(); }
  // The eventfd for the driver's kicks of a data queue, which its worker reads.
  int kick_fd(uint32_t queue) const { return workers_.kick_fd(queue); }

  // When to call Serve() again at the latest.
  std::optional<Instant> deadline() const;

  // The offloads of kGuestOffloads that packets from the port may use: those
  // that the driver accepts, minus segmentation if an rx ring is too small for
  // packets of 64 KiB. The TAP's owner sets the TAP to them later; until then,
  // packets that the driver does not accept are dropped.
  uint64_t port_offloads() const;
  // The offloads of kGuestOffloads that the driver accepts.
  uint64_t guest_offloads() const { return settings_.guest_offloads(); }

  // The number of queue pairs that the driver uses. The TAP's owner detaches
  // the queues of the other pairs later; until then, their packets wait in the
  // TAP, and are then lost.
  uint16_t active_pairs() const { return settings_.active_pairs(); }

  // Whether every queue of a driver is served.
  bool driver_ok() const { return session_.active(); }
  // Whether some queue of a driver may be served.
  bool has_driver() const { return session_.served(); }
  bool has_control_queue() const { return queues_.control().has_value(); }

  // What the control queue's commands act on.
  CommandTarget& commands() { return settings_; }

  // A few lines for the log about the traffic so far.
  std::vector<std::string> Summary() const;

  // Changes the operator's coalescing while the device runs. On return the
  // setting is in force, except on queues for which the driver has set
  // parameters.
  void SetOperatorCoalescing(coalesce::Direction direction,
                             const coalesce::Setting& setting) {
    settings_.SetOperatorCoalescing(direction, setting);
  }
  const coalesce::Setting& operator_coalescing(
      coalesce::Direction direction) const {
    return settings_.params().operator_setting(direction);
  }

  // How each data queue is coalesced, why, and with what result.
  std::vector<CoalescingReport> ReportCoalescing() {
    return net::ReportCoalescing(workers_, settings_.params(), options_.clock);
  }

  // vduse::RequestHandler
  absl::Status OnStatus(uint8_t status) override;
  void OnStatusLost(uint8_t status) override;
  void OnIotlbUpdate(uint32_t asid, uint64_t first, uint64_t last) override;
  absl::StatusOr<QueuePosition> OnQueueState(uint32_t index) override;
  absl::StatusOr<uint32_t> OnGroupAsid(uint32_t group, uint32_t asid) override;
  void OnQueueReady(uint32_t index, bool ready) override;
  void OnSuspend() override;

 private:
  // What needs a system call before the rest can exist.
  struct Resources {
    base::UniqueFd attention;
    base::UniqueFd ctrl_kick;
    WorkerPool workers;
  };

  NetDevice(vduse::Device& device, Options options, Resources resources);

  // A driver's life.
  void EndDriver(uint8_t status);
  DriverSession::Origin TakeUpState(uint64_t features);
  bool SamePositions();
  void TakePositions();
  void StartDriver(uint64_t features, DriverSession::Origin origin);
  void StopDriver(std::optional<FlushCause> settle = std::nullopt);
  void ListenForCommands(uint64_t features);
  void ListenForKicks();
  void AssignRoles(uint64_t features);

  // DRIVER_OK that is not in force.
  void ServeCommandsOnly(uint64_t features);
  void WarnOfCommandsOnly();
  bool EndCommandsOnly();
  bool StartIfInForce();
  void FollowCtrlKick(Instant now);
  void LookIfInForce(Instant now);

  // Queues.
  void LookForReadyQueues(Instant now);
  void LookForQueuesSoon();
  bool TryStart(uint32_t index, const vduse::QueueInfo& info);
  absl::Status StartQueue(uint32_t index, vduse::QueueInfo info);
  void StopQueue(uint32_t index, std::optional<FlushCause> settle);
  void CheckRxRingSize(uint32_t index, uint32_t size);

  void UseAsids();
  void ServeCtrlQueue(Instant now);
  void CheckWorkers();
  void CollectFaults();
  void MarkBroken(const std::string& what);

  vduse::Device& device_;
  const Options options_;
  base::UniqueFd attention_;
  WorkerPool workers_;
  PortDrops port_drops_;
  DriverSession session_;
  QueueTable queues_;
  LinkStatus link_;
  DriverSettings settings_;
  CtrlServer ctrl_;

  bool caretaker_ = false;
  bool short_rx_ring_ = false;  // an rx ring cannot hold the largest packets
  std::optional<Instant> look_at_;  // when to look for late queues
  Duration look_delay_{};
  // When to look whether DRIVER_OK is in force by now.
  std::optional<Instant> in_force_at_;
  Duration in_force_delay_{};

  // Limits on the log lines that a driver can cause, by kind.
  base::LogLimiter broken_log_{4};
  base::LogLimiter life_log_{10};
  base::LogLimiter end_log_{10};
  base::LogLimiter queue_log_{10};
  base::LogLimiter start_log_{80};
  base::LogLimiter asid_log_{10};
};

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_NET_DEVICE_H_
