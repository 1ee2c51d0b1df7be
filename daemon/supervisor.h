// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_SUPERVISOR_H_
#define VDUSE_NET_DAEMON_SUPERVISOR_H_

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/exit_codes.h"
#include "base/unique_fd.h"
#include "daemon/admin_process.h"
#include "daemon/device_process.h"
#include "daemon/end_watch.h"
#include "daemon/hang_watch.h"
#include "daemon/options.h"
#include "daemon/sandbox.h"
#include "daemon/tap_settings.h"
#include "daemon/thread_use.h"
#include "daemon/upgrade.h"
#include "net/device/device_state.h"
#include "state/state_file.h"
#include "vduse/kernel_device.h"

namespace program {

// Runs one device from its start to its end. The supervisor itself touches
// neither the driver's memory nor a packet, and makes no call that can wait for
// a lock of the host's network or of the vDPA bus. It has three children:
//
//   device process          serves the device (DeviceProcess)
//   standby                 a device process that waits to be the next one
//   administration process  makes the calls that can wait (AdminProcess)
//
// If the device process ends or hangs, the supervisor closes its own copy of
// the device's descriptor, opens the device again, and gives it to the standby
// together with the TAP, which stays open all the time.
//
// One thread, which only waits in Serve(), and before there is a device.
class Supervisor {
 public:
  Supervisor(const RunOptions& options, Sandbox sandbox, AdminProcess admin,
             state::StateFile state, base::UniqueFd signals)
      : options_(options),
        sandbox_(std::move(sandbox)),
        admin_(std::move(admin)),
        state_(std::move(state)),
        signals_(std::move(signals)) {}

  base::ExitCode Run();

 private:
  enum class Phase {
    kStarting,  // waiting for the TAP (adopted devices) and the bus
    kReady,
    kDetaching,  // being detached from the bus, and still served
    kDone,
  };

  // The device's start and end: supervisor_setup.cc.
  std::optional<base::ExitCode> Open();
  std::optional<base::ExitCode> TakeOverTap();
  std::optional<base::ExitCode> Adopt(
      std::unique_ptr<vduse::KernelDevice> device);
  std::optional<base::ExitCode> Create();
  net::NetDevice::Options DeviceOptions() const;
  base::ExitCode Dismantle(base::ExitCode code);
  base::ExitCode CloseTap(base::ExitCode code);
  base::ExitCode Abandon();

  // The processes that serve the device: supervisor_device.cc.
  DeviceSetup Setup();
  std::optional<base::ExitCode> StartServing();
  void PrepareJournal();
  std::optional<DeviceProcess> StartProcess();
  void StartStandby();
  void GiveDevice(DeviceProcess process, ServeMode mode);
  void Replace();
  bool OpenAgain();
  void OnReports();
  void OnServing(std::vector<base::UniqueFd> kicks);
  void OnDeviceEnd(int status);
  void OnFailure();
  void ExpectToServe();
  std::optional<ThreadUse> ControlThread() const;
  void CheckStart();
  void OnHang(const std::string& what);
  void KillServing();
  void SayWhatEndWaitsFor();
  void AwaitEnd(pid_t pid);
  void EndServing();
  void Order(DeviceOrder order, const std::vector<int>& fds = {});
  void Watch();

  // Another release of the program: supervisor_upgrade.cc.
  void BeginUpgrade();
  void OnNewProgram();
  void EndUpgrade(const std::string& why);
  [[noreturn]] void StepAside();

  // The device's TAP: supervisor_tap.cc.
  void OpenTap();
  void OnTap(AdminProcess::Event event);
  void GiveTap();
  void SetLink(bool up);
  void OnNoTap(const absl::Status& status);
  void OnTapGone();
  AdminProcess::TapIdentity KnownTap() const;
  void OnIdentity(const AdminProcess::Event& event);
  void OnTapAppeared();
  void OnTapSet(const absl::Status& status);
  void OnTapLink(const AdminProcess::Event& event);
  void GoOnWithoutTap();
  void FollowDriver();
  void ServeTap();
  std::optional<net::Instant> TapDeadline() const;

  std::optional<net::Instant> Deadline() const;
  void DoWhatIsDue();
  void ServeAdmin();
  base::ExitCode Serve();
  void RestartAdmin();
  void OnAdminEvent(AdminProcess::Event event);
  void OnSignal();
  void ReapChildren();
  std::optional<int> TakeSignal();
  bool SleepUnlessEnded(std::chrono::milliseconds length);
  absl::StatusOr<AdminProcess::Event> WaitForAdmin(int timeout_ms = -1);
  std::optional<uint32_t> AskForType();
  void CheckReady();
  void BeginDetach();
  void SayWhatDetachWaitsFor();
  // The TAP's part of the saved state has changed.
  void SaveTap();
  void OpenSockets();
  void RemoveSockets();

  const RunOptions& options_;
  const Sandbox sandbox_;
  AdminProcess admin_;
  state::StateFile state_;
  base::UniqueFd signals_;

  // As the device was made; a device process keeps what changes later.
  state::SavedState saved_;
  std::optional<net::DeviceState> restored_;  // from --restore
  base::UniqueFd operator_listener_;
  base::UniqueFd hand_over_listener_;
  base::UniqueFd journal_;  // see journal_memory.h; may be empty
  // A copy of the device's descriptor, to see whether the kernel waits for an
  // answer. It must be closed before the device can be opened again.
  std::unique_ptr<vduse::KernelDevice> device_;
  std::optional<DeviceProcess> serving_;
  std::optional<DeviceProcess> standby_;
  std::vector<base::UniqueFd> kicks_;  // copies of what `serving_` waits for
  HangWatch watch_;
  // Runs from the end of a device process, or from its kill, until the device
  // is open again.
  EndWatch end_watch_;
  std::deque<net::Instant> failures_;  // of recent device processes
  net::Instant ended_at_{};            // the last device process
  // When the process that was given the device has to serve it, or to have made
  // progress.
  std::optional<net::Instant> serves_by_;
  uint64_t turns_before_ = 0;
  net::Duration cpu_before_{};
  std::optional<net::Instant> replace_at_;
  std::optional<net::Instant> standby_at_;
  // The program's file, which may have been replaced since.
  const std::string program_path_ = ProgramPath();
  std::optional<NewProgram> new_program_;
  std::optional<net::Instant> upgrade_by_;
  std::optional<DeviceReport> wants_;  // what the driver wants of the TAP
  std::optional<net::Instant> tap_retry_at_;
  // When an adopted device becomes ready without its TAP.
  std::optional<net::Instant> tap_wait_until_;
  std::string tap_error_;  // the last error, already logged
  TapSettings tap_settings_;
  std::vector<base::UniqueFd> tap_;  // its queues
  base::UniqueFd tap_drops_;         // from PortDrops::OpenFile()
  std::optional<net::Instant> admin_restart_at_;
  std::optional<net::Instant> detach_notice_at_;
  std::string vhost_device_;  // looked up before detaching removes it
  net::Instant admin_started_ = net::Now();
  bool adopted_ = false;
  bool state_found_ = false;  // of an adopted device
  bool caretaker_ = false;    // the next device process is one
  bool killed_ = false;       // the serving process, by this one
  bool tap_ready_ = false;
  bool tap_opening_ = false;
  // The TAP was deleted; this process does not recreate it.
  bool tap_lost_ = false;
  bool link_up_ = false;
  bool attached_ = false;
  bool device_broken_ = false;
  bool leave_device_ = false;
  bool start_failed_ = false;  // the first device process could not serve
  // Abandon() was sent: do not wait for the administration process.
  bool abandoned_ = false;
  base::ExitCode exit_code_ = base::kExitOk;
  Phase phase_ = Phase::kStarting;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_SUPERVISOR_H_
