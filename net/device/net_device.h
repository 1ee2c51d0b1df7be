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

// A virtio network device (virtio 1.3, 5.1) over a VDUSE device: its life
// from reset to DRIVER_OK and back, its control queue, its link, its workers.
//
// Everything here runs on one thread, the control thread; the workers have
// their own. Nothing here waits for anything but a worker's current step.
class NetDevice final : public vduse::RequestHandler, public CommandTarget {
 public:
  struct Options {
    uint64_t features = 0;  // offered
    uint32_t queue_pairs = 1;
    uint16_t mtu = 1500;
    // What the device was made with. A VMM may make larger queues all the same.
    uint32_t max_queue_size = vduse::kMaxQueueSize;
    Engine engine = Engine::kAuto;
    Time busy_poll{};            // of each worker, at most, before it sleeps
    Time timer_poll{};           // before what a worker has to do in time
    std::vector<int> cpus = {};  // that workers run on, in turn; any if empty
    MacAddress mac{};            // that it was made with; all zero if not known
    // The operator's: what applies until the driver asks, and after a reset.
    coalesce::Setting rx;
    coalesce::Setting tx;
    // Called before a change by the driver comes into force.
    std::function<void(const DeviceState&)> persist;
  };

  // `device` must outlive the result and have the virtqueues that the
  // options call for.
  static absl::StatusOr<std::unique_ptr<NetDevice>> Create(
      vduse::Device& device, Options options);
  ~NetDevice() override;

  // For a device that a process before this one served: goes on where it
  // stopped, with what the driver had set. Before the first Serve().
  void Resume(const std::optional<DeviceState>& saved);

  // The state of a device elsewhere: the next driver goes on with it, if it
  // accepts the same features. Before the first Serve().
  //   InvalidArgument: it does not fit this device.
  absl::Status Restore(const DeviceState& saved);

  // Of use to another device while no driver is active: see its phase.
  const DeviceState& state() const { return state_; }

  // Gives each pair its packets: as many queues of a TAP as there are pairs.
  // Until then its queues wait. `drops` is PortDrops' file of its interface.
  absl::Status SetTap(std::vector<Tap> queues, base::UniqueFd drops = {});

  // What the TAP's link says; the driver sees it in its configuration space.
  void SetLink(bool up);

  // Answers the kernel, then the driver's commands, then looks after the
  // queues. On every wake-up; cheap when there is nothing to do.
  //   Aborted: the device is broken for good.
  absl::Status Serve(Time now);

  // Descriptors to poll for reading, besides the device's own.
  int ctrl_kick_fd() const { return ctrl_kick_.get(); }
  int attention_fd() const { return attention_.get(); }

  // When Serve() is to be called again at the latest.
  std::optional<Time> deadline() const;

  // What the port's packets may leave to the driver, of kGuestOffloads: what
  // the driver accepts, but no packets that its rings cannot hold. Who owns the
  // TAP sees to it in its own time: until then, packets that the driver does
  // not accept are dropped.
  uint64_t port_offloads() const;
  // What the driver accepts, of kGuestOffloads.
  uint64_t guest_offloads() const { return state_.guest_offloads; }

  // Queue pairs that the driver uses. The others' queues of the TAP are to be
  // detached, in the same way: until then, what comes to them waits there.
  uint16_t active_pairs() const { return state_.active_pairs; }

  bool driver_ok() const { return driver_ok_ && !commands_only_; }
  bool has_control_queue() const { return ctrl_index_.has_value(); }

  // A few lines on what went through, for the log.
  std::vector<std::string> Summary();

  // The operator's coalescing, changed while the device runs. It is in force
  // on return, but on queues for which the driver has asked for something.
  void SetOperatorCoalescing(coalesce::Direction direction,
                             const coalesce::Setting& setting);
  const coalesce::Setting& operator_coalescing(
      coalesce::Direction direction) const {
    return params_.operator_setting(direction);
  }

  // How each data queue is coalesced, why, and what came of it.
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
    kDown,  // runs as soon as it is found to be ready
    kRunning,
    kRefused,  // what the driver set up cannot be served
    kTaken,    // until it is announced again: it may look ready for a moment
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
  // If the device has a control queue: the last one, or the first behind the
  // only pair for a driver without MQ (5.1.2).
  std::optional<uint32_t> ctrl_index_;
  base::UniqueFd attention_;
  base::UniqueFd ctrl_kick_;
  std::vector<std::unique_ptr<Worker>> workers_;

  DeviceState state_;
  uint64_t features_ = 0;  // negotiated, while driver_ok_
  bool driver_ok_ = false;
  // driver_ok_, but the kernel knows of no DRIVER_OK: the driver cannot be
  // notified.
  bool commands_only_ = false;
  bool suspended_ = false;  // until the next reset
  bool restored_ = false;   // the driver has come from elsewhere
  bool goes_on_ =
      false;  // same driver as before; it may have missed notifications
  bool adopted_ = false;  // rings may be half done: the first start resumes
  vduse::Virtqueue::Start start_ = vduse::Virtqueue::Start::kFresh;
  std::vector<QueueState> queues_;
  // Where the driver had each queue begin, once it has run in this life. The
  // kernel goes on to say so after the queue was taken away.
  std::vector<std::optional<uint16_t>> begun_;
  bool short_rx_ring_ = false;  // one that cannot hold the largest packets

  std::optional<Time> look_at_;  // for queues that become ready late
  Time look_delay_{};

  vduse::IovaMap ctrl_map_;
  std::unique_ptr<CtrlQueue> ctrl_;
  bool ctrl_again_ = false;
  std::optional<Time> ctrl_retry_;  // its rings are out of reach

  PortDrops port_drops_;
  std::optional<bool> tap_link_;  // until it is known, an adopted device
                                  // shows what it showed before
  bool broken_ = false;           // a queue is latched, or the port lost
  // What the configuration space says, if that is known: a predecessor may
  // have written anything.
  std::optional<uint16_t> shown_status_ = 0;
  std::optional<Time> announce_at_;
  bool announcing_ = false;  // the driver is asked to
  std::optional<Time> config_retry_;
  Time config_delay_{};
  Time config_since_{};  // is owed
  bool config_owed_ = false;

  // Lines that a driver can cause, by kind.
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
