// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_RUNNER_H_
#define VDUSE_NET_DAEMON_RUNNER_H_

#include <chrono>
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
#include "daemon/options.h"
#include "daemon/tap_settings.h"
#include "net/device/net_device.h"
#include "rpc/varlink_server.h"
#include "state/state_file.h"
#include "vduse/kernel_device.h"

namespace program {

// Serves one device from start to end, on the control thread.
class Runner {
 public:
  Runner(const RunOptions& options, AdminProcess admin, state::StateFile state,
         base::UniqueFd signals)
      : options_(options),
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

  // The device's start and end: runner_setup.cc.
  std::optional<base::ExitCode> Open();
  std::optional<base::ExitCode> Adopt(
      std::unique_ptr<vduse::KernelDevice> device);
  std::optional<base::ExitCode> Create();
  std::optional<base::ExitCode> BuildDevice();
  base::ExitCode Dismantle(base::ExitCode code);
  base::ExitCode CloseTap(base::ExitCode code);
  base::ExitCode Abandon();

  // The device's TAP: runner_tap.cc.
  void OpenTap();
  void OnTap(AdminProcess::Event event);
  void KeepCopies(const std::vector<net::Tap>& tap);
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

  void OnDeviceBroken(const std::string& why);
  std::optional<net::Instant> Deadline() const;
  void ServeDevice();
  void ServeAdmin();
  base::ExitCode Serve();
  void RestartAdmin();
  void OnAdminEvent(AdminProcess::Event event);
  void OnSignal();
  std::optional<int> TakeSignal();
  bool SleepUnlessEnded(std::chrono::milliseconds length);
  absl::StatusOr<AdminProcess::Event> WaitForAdmin(int timeout_ms = -1);
  std::optional<uint32_t> AskForType();
  void CheckReady();
  void BeginDetach();
  void SayWhatDetachWaitsFor();
  void Save();
  void ListenToOperator();

  const RunOptions& options_;
  AdminProcess admin_;
  state::StateFile state_;
  base::UniqueFd signals_;

  state::SavedState saved_;
  std::optional<state::SavedState> predecessor_;
  std::optional<net::DeviceState> restored_;  // from --restore
  std::optional<rpc::VarlinkServer> operator_socket_;
  std::unique_ptr<vduse::KernelDevice> device_;
  std::unique_ptr<net::NetDevice> net_;
  std::optional<AdminProcess::Event> early_tap_;
  bool adopted_ = false;
  bool tap_ready_ = false;
  bool tap_opening_ = false;
  // The TAP was deleted; this process does not recreate it.
  bool tap_lost_ = false;
  std::optional<net::Instant> tap_retry_at_;
  // When an adopted device becomes ready without its TAP.
  std::optional<net::Instant> tap_wait_until_;
  std::string tap_error_;  // the last error, already logged
  TapSettings tap_settings_;
  std::vector<base::UniqueFd> tap_copies_;  // for a new administration process
  std::optional<net::Instant> admin_restart_at_;
  std::optional<net::Instant> detach_notice_at_;
  std::string vhost_device_;  // looked up before detaching removes it
  net::Instant admin_started_ = net::Now();
  bool attached_ = false;
  bool device_broken_ = false;
  bool leave_device_ = false;
  // Abandon() was sent: do not wait for the administration process.
  bool abandoned_ = false;
  base::ExitCode exit_code_ = base::kExitOk;
  Phase phase_ = Phase::kStarting;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_RUNNER_H_
