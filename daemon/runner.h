// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_RUNNER_H_
#define VDUSE_NET_DAEMON_RUNNER_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "daemon/admin_process.h"
#include "daemon/exit_codes.h"
#include "daemon/options.h"
#include "daemon/state_file.h"
#include "daemon/varlink.h"
#include "net/net_device.h"
#include "vduse/kernel_device.h"

namespace program {

// One device from start to end, on the control thread.
class Runner {
 public:
  Runner(const RunOptions& options, AdminProcess admin, StateFile state,
         base::UniqueFd signals)
      : options_(options),
        admin_(std::move(admin)),
        state_(std::move(state)),
        signals_(std::move(signals)) {}

  ExitCode Run();

 private:
  enum class Phase {
    kStarting,  // waiting for the TAP (adopted devices) and the bus
    kReady,
    kDetaching,  // asked to; still serving, or the bus could not detach
    kDone,
  };

  // Its beginning and its end: runner_setup.cc.
  std::optional<ExitCode> Open();
  void Adopt(std::unique_ptr<vduse::KernelDevice> device);
  std::optional<ExitCode> Create();
  std::optional<ExitCode> BuildDevice();
  void RenewState();
  ExitCode Dismantle(ExitCode code);
  ExitCode CloseTap(ExitCode code);

  ExitCode Serve();
  void FollowDriver();
  void RestartAdmin();
  void OnAdminEvent(AdminProcess::Event event);
  void OpenTap();
  void OnTap(AdminProcess::Event event);
  void OnSignal();
  void CheckReady();
  void BeginDetach();
  void SayWhatDetachWaitsFor();
  void Save();
  void ListenToOperator();

  const RunOptions& options_;
  AdminProcess admin_;
  StateFile state_;
  base::UniqueFd signals_;

  SavedState saved_;
  std::optional<SavedState> predecessor_;
  std::optional<net::DeviceState> restored_;  // of --restore
  std::optional<VarlinkServer> operator_socket_;
  std::unique_ptr<vduse::KernelDevice> device_;
  std::unique_ptr<net::NetDevice> net_;
  std::optional<AdminProcess::Event> early_tap_;
  bool adopted_ = false;
  bool tap_ready_ = false;
  std::optional<net::Time> tap_retry_at_;
  // What was last asked for, if it is known.
  struct TapSettings {
    unsigned offloads = 0;
    uint32_t queues = 0;
    bool operator==(const TapSettings&) const = default;
  };
  std::optional<TapSettings> tap_settings_;
  bool tap_asked_ = false;
  std::vector<base::UniqueFd> tap_copies_;  // for a new administration process
  std::optional<net::Time> admin_restart_at_;
  std::optional<net::Time> detach_notice_at_;
  std::string vhost_device_;  // looked up before: the kernel removes its name
  net::Time admin_started_ = net::Now();
  bool attached_ = false;
  bool device_broken_ = false;
  bool leave_device_ = false;
  ExitCode exit_code_ = kExitOk;
  Phase phase_ = Phase::kStarting;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_RUNNER_H_
