// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_NET_DEVICE_H_
#define VDUSE_NET_NET_DEVICE_NET_DEVICE_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "coalesce/param_table.h"
#include "net/device/coalescing_report.h"
#include "net/device/ctrl_queue.h"
#include "net/device/device_state.h"
#include "net/path/port_drops.h"
#include "net/path/tap.h"
#include "net/path/worker.h"
#include "net/wire/config_space.h"
#include "vduse/device.h"
#include "vduse/iova_map.h"
#include "vduse/session.h"

namespace net {

// A virtio network device (virtio 1.3, 5.1) on top of a VDUSE device. It
// handles the driver's status changes, the control queue, the state of the
// link, and the workers.
//
// All methods run on one thread, the control thread. Each worker has a thread
// of its own. No method waits for anything but a worker's current step.
//
//   net_device.cc                creation, TAP, link, status, Serve()
//   net_device_queues.cc         how virtqueues start and stop
//   net_device_commands_only.cc  a driver whose DRIVER_OK the kernel does not
//                                know
//   driver_settings.cc           what outlives a driver, a suspend, the process
//   driver_commands.cc           the driver's commands (CommandTarget)
//   statistics.cc                what the operator changes and reads
class NetDevice final : public vduse::RequestHandler, public CommandTarget {
 public:
  struct Options {
    uint64_t features = 0;  // offered
    uint32_t queue_pairs = 1;
    uint16_t mtu = 1500;
    // The size that the device was made with. A VMM may set up larger queues
    // all the same.
    uint32_t max_queue_size = vduse::kMaxQueueSize;
    Engine engine = Engine::kAuto;
    Time busy_poll{};            // longest busy-poll before a sleep
    Time timer_poll{};           // time before a deadline without sleeps
    std::vector<int> cpus = {};  // for the workers, in turn; empty: any
    MacAddress mac{};            // the device's; all zero: unknown
    // The operator's setting: it applies until the driver sets another, and
    // again after a reset.
    coalesce::Setting rx;
    coalesce::Setting tx;
    // Called before a change by the driver takes effect.
    std::function<void(const DeviceState&)> persist;
  };

  // `device` must outlive the result and have exactly the virtqueues that the
  // options call for.
  //   FailedPrecondition: it has another number of virtqueues.
  static absl::StatusOr<std::unique_ptr<NetDevice>> Create(
      vduse::Device& device, Options options);
  ~NetDevice() override;

  // Takes over a device that an earlier process served: resumes where that
  // process stopped, with what the driver had set. Call it before the first
  // Serve().
  void Resume(const std::optional<DeviceState>& saved);

  // Takes the state of another device: the next driver resumes it if that
  // driver accepts the same features. Call it before the first Serve().
  //   InvalidArgument: the state does not fit this device.
  absl::Status Restore(const DeviceState& saved);

  // The device's state. It may be moved to another device only if its phase
  // says that no driver is active here.
  const DeviceState& state() const { return state_; }

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
  absl::Status Serve(Time now);

  // Descriptors to poll for reading, in addition to the device's own.
  int ctrl_kick_fd() const { return ctrl_kick_.get(); }
  int attention_fd() const { return attention_.get(); }

  // When to call Serve() again at the latest.
  std::optional<Time> deadline() const;

  // The offloads of kGuestOffloads that packets from the port may use: those
  // that the driver accepts, minus segmentation if an rx ring is too small for
  // packets of 64 KiB. The TAP's owner sets the TAP to them later; until then,
  // packets that the driver does not accept are dropped.
  uint64_t port_offloads() const;
  // The offloads of kGuestOffloads that the driver accepts.
  uint64_t guest_offloads() const { return state_.guest_offloads; }

  // The number of queue pairs that the driver uses. The TAP's owner detaches
  // the queues of the other pairs later; until then, their packets wait in the
  // TAP, and are then lost.
  uint16_t active_pairs() const { return state_.active_pairs; }

  bool driver_ok() const { return driver_ok_ && !commands_only_; }
  bool has_control_queue() const { return ctrl_index_.has_value(); }

  // A few lines for the log about the traffic so far.
  std::vector<std::string> Summary();

  // Changes the operator's coalescing while the device runs. On return the
  // setting is in force, except on queues for which the driver has set
  // parameters.
  void SetOperatorCoalescing(coalesce::Direction direction,
                             const coalesce::Setting& setting);
  const coalesce::Setting& operator_coalescing(
      coalesce::Direction direction) const {
    return params_.operator_setting(direction);
  }

  // How each data queue is coalesced, why, and with what result.
  std::vector<CoalescingReport> ReportCoalescing();

  // vduse::RequestHandler
  absl::Status OnStatus(uint8_t status) override;
  void OnStatusLost(uint8_t status) override;
  void OnIotlbUpdate(uint32_t asid, uint64_t first, uint64_t last) override;
  absl::StatusOr<uint16_t> OnQueueState(uint32_t index) override;
  absl::StatusOr<uint32_t> OnGroupAsid(uint32_t group, uint32_t asid) override;
  void OnQueueReady(uint32_t index, bool ready) override;
  void OnSuspend() override;

  // CommandTarget
  void SetCoalescing(coalesce::Direction direction,
                     coalesce::Params params) override;
  bool SetQueueCoalescing(uint32_t queue, coalesce::Params params) override;
  std::optional<coalesce::Params> QueueCoalescing(
      uint32_t queue) const override;
  bool SetGuestOffloads(uint64_t offloads) override;
  bool SetQueuePairs(uint16_t pairs) override;
  void SetRxMode(RxMode mode, bool on) override;
  void SetMacTables(const MacTable& unicast,
                    const MacTable& multicast) override;
  bool SetMac(const MacAddress& mac) override;
  bool SetVlan(uint16_t id, bool on) override;
  bool AcknowledgeAnnounce() override;
  std::optional<QueueStats> Stats(uint32_t queue) const override;

 private:
  enum class QueueState {
    kDown,  // started once it is found to be ready
    kRunning,
    kRefused,  // the driver's set-up cannot be served
    // The kernel has taken the queue away. It is ignored until the kernel
    // announces it again, because the kernel may still report it as ready for a
    // moment.
    kTaken,
  };
  static constexpr Time kConfigRetry = std::chrono::milliseconds(1);
  static constexpr Time kLastConfigRetry = std::chrono::milliseconds(100);

  NetDevice(vduse::Device& device, Options options);
  absl::Status Init();

  bool IsCtrl(uint32_t queue) const { return ctrl_index_ == queue; }
  bool IsData(uint32_t queue) const;
  uint32_t CtrlGroup() const;
  void PlaceCtrlQueue();
  void UsePairs();
  void DiscardQueued();
  void StartDriver(vduse::Virtqueue::Start start);
  void StopDriver(std::optional<FlushCause> settle = std::nullopt);
  void StopQueue(uint32_t index, std::optional<FlushCause> settle);
  void FollowCtrlKick(Time now);
  void ServeCommandsAlone(uint64_t features, vduse::Virtqueue::Start start);
  void SayCommandsAlone();
  void EndCommandsAlone();
  bool InForceAfterAll();
  void HearOfCommands(uint64_t features);
  void TakeUpState(uint64_t features);
  bool SamePositions();
  void UseAsids();
  void ForgetAsids();
  void LookForReadyQueues(Time now);
  void LookSoon();
  absl::Status StartQueue(uint32_t index, vduse::QueueInfo info);
  absl::Status StartCtrlQueue(const vduse::QueueInfo& info,
                              vduse::Virtqueue::Start start, bool owe);
  void ServeCtrlQueue(Time now);
  void CheckWorkers();
  void LookForBroken();
  void MarkBroken(const std::string& what);
  void UpdateLink();
  [[nodiscard]] bool ShowStatus(uint16_t status);
  void FollowAnnounce(bool up);
  void OweConfig();
  void InjectConfig(Time now);
  void ApplyParams(uint32_t queue);
  bool VmmSpeaks() const;
  void FilterChanged();
  void ShowMac(const MacAddress& mac);
  void LogChange(const std::string& what, coalesce::Params params);
  void Persist();
  std::string NameOf(uint32_t index) const;
  void NoteRxRing(uint32_t index, uint32_t size);
  Worker& worker_of(uint32_t queue) { return *workers_[queue / 2]; }

  vduse::Device& device_;
  const Options options_;
  coalesce::ParamTable params_;
  // The control queue's index, if there is one: with MQ the last virtqueue,
  // without MQ virtqueue 2 (5.1.2).
  std::optional<uint32_t> ctrl_index_;
  base::UniqueFd attention_;
  base::UniqueFd ctrl_kick_;
  std::vector<std::unique_ptr<Worker>> workers_;

  DeviceState state_;
  uint64_t features_ = 0;  // negotiated; 0 while unknown
  bool driver_ok_ = false;
  // driver_ok_ is set, but the kernel does not know of DRIVER_OK, so the driver
  // cannot be notified.
  bool commands_only_ = false;
  bool suspended_ = false;  // until the next reset
  bool restored_ = false;   // the driver was moved here
  // Same driver as before; it may have missed notifications.
  bool goes_on_ = false;
  // An earlier process used the rings: the first start resumes them.
  bool adopted_ = false;
  vduse::Virtqueue::Start start_ = vduse::Virtqueue::Start::kFresh;
  std::vector<QueueState> queues_;
  // The position at which each queue began, once it has run for this driver.
  // The kernel keeps reporting that position after the queue was taken away.
  std::vector<std::optional<uint16_t>> begun_;
  bool short_rx_ring_ = false;  // an rx ring cannot hold the largest packets

  std::optional<Time> look_at_;  // when to look for late queues
  Time look_delay_{};

  vduse::IovaMap ctrl_map_;
  std::unique_ptr<CtrlQueue> ctrl_;
  bool ctrl_again_ = false;
  std::optional<Time> ctrl_retry_;  // while its rings are not mapped

  PortDrops port_drops_;
  // Until this is known, an adopted device keeps showing its previous link
  // state.
  std::optional<bool> tap_link_;
  bool broken_ = false;  // a queue has latched, or the port is lost
  // The status field of the configuration space, if known: an earlier process
  // may have written anything.
  std::optional<uint16_t> shown_status_ = 0;
  std::optional<Time> announce_at_;
  bool announcing_ = false;  // the driver is being asked to announce
  std::optional<Time> config_retry_;
  Time config_delay_{};
  Time config_since_{};  // when config_owed_ was set
  bool config_owed_ = false;

  // Limits on the log lines that a driver can cause, by kind.
  base::LogLimiter change_log_{20};
  base::LogLimiter broken_log_{4};
  base::LogLimiter life_log_{10};
  base::LogLimiter end_log_{10};
  base::LogLimiter return_log_{4};
  base::LogLimiter queue_log_{10};
  base::LogLimiter start_log_{80};
  base::LogLimiter asid_log_{10};
  base::LogLimiter link_log_{10};
  base::LogLimiter config_log_{4};
};

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_NET_DEVICE_H_
