// SPDX-License-Identifier: Apache-2.0
//
// A device in service. Its start and end are in supervisor_setup.cc, its TAP in
// supervisor_tap.cc.
#include "daemon/supervisor.h"

#include <errno.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/log.h"
#include "base/status_text.h"
#include "base/unix_socket.h"
#include "daemon/hand_over.h"
#include "daemon/sd_notify.h"
#include "net/wire/features.h"
#include "rpc/device_service.h"
#include "rpc/varlink_server.h"
#include "vduse/vdpa_bus.h"

namespace program {
namespace {

using base::Log;
using base::Severity;

// Minimum time between two starts of the administration process.
constexpr net::Duration kAdminPause = std::chrono::seconds(1);
// How long a detach may take before that is logged.
constexpr net::Duration kDetachNotice = std::chrono::seconds(2);

}  // namespace

base::ExitCode Supervisor::Run() {
  if (const auto failed = Open()) {
    return adopted_ ? *failed : CloseTap(*failed);
  }
  attached_ = !options_.attach;  // without --attach, the operator does it
  OpenSockets();
  // An adopted device is served before anything else is done for it.
  if (const auto failed = StartServing()) {
    return adopted_ ? *failed : Dismantle(*failed);
  }
  if (adopted_ && tap_.empty()) OpenTap();
  const base::ExitCode served = Serve();
  if (start_failed_ && adopted_) return served;
  // Leave the device as a killed process would: the device process goes on. An
  // orderly end here would close the TAP, which can wait for a lock whose
  // holder waits for this very device.
  if (leave_device_) _exit(served);
  return Dismantle(served);
}

// The device also works without its sockets.
void Supervisor::OpenSockets() {
  absl::StatusOr<base::UniqueFd> listener = rpc::VarlinkServer::Listen(
      rpc::DeviceSocket(options_.state_dir, options_.name));
  if (listener.ok()) {
    operator_listener_ = std::move(*listener);
  } else {
    Log(Severity::kWarning,
        "no operator's socket: `coalesce`, `tune` and `state` will not reach "
        "this device: {}",
        base::Text(listener.status()));
  }
  listener = base::ListenAt(HandOverSocket(options_.state_dir, options_.name),
                            SOCK_SEQPACKET, 1);
  if (listener.ok()) {
    hand_over_listener_ = std::move(*listener);
  } else {
    Log(Severity::kWarning,
        "if this process is killed, the device is not served until it is "
        "started again: {}",
        base::Text(listener.status()));
  }
}

// Call this before another process can make a device of this name.
void Supervisor::RemoveSockets() {
  if (operator_listener_) {
    unlink(rpc::DeviceSocket(options_.state_dir, options_.name).c_str());
    operator_listener_.Reset();
  }
  if (hand_over_listener_) {
    unlink(HandOverSocket(options_.state_dir, options_.name).c_str());
    hand_over_listener_.Reset();
  }
}

void Supervisor::CheckReady() {
  const bool can_wait = adopted_ && !tap_wait_until_;
  if (phase_ != Phase::kStarting || kicks_.empty() || !attached_ ||
      !(tap_ready_ || can_wait)) {
    return;
  }
  phase_ = Phase::kReady;
  const std::string text = fmt::format(
      "ready: '{}' on '{}'{}, {}", options_.name, options_.tap,
      tap_ready_ ? "" : ", which is not open yet: the link is down",
      net::Has(saved_.features, net::kFeatureCtrlVq) ? "with control queue"
                                                     : "without control queue");
  Log(Severity::kInfo, "{}", text);
  SdNotify("READY=1\nSTATUS=" + text);
}

void Supervisor::OnAdminEvent(AdminProcess::Event event) {
  switch (event.kind) {
    case AdminProcess::Kind::kOpenTap:
      OnTap(std::move(event));
      return;
    case AdminProcess::Kind::kSetTap:
      OnTapSet(event.status);
      return;
    case AdminProcess::Kind::kLink:
      OnTapLink(event);
      return;
    case AdminProcess::Kind::kAttach:
      if (!event.status.ok() && !absl::IsAlreadyExists(event.status)) {
        Log(Severity::kError, "{}", base::Text(event.status));
        exit_code_ = base::kExitFailure;
        BeginDetach();
        return;
      }
      attached_ = true;
      CheckReady();
      return;
    case AdminProcess::Kind::kDetach:
      // A device that was not attached is fine, too.
      if (!event.status.ok() && !absl::IsNotFound(event.status)) {
        Log(Severity::kError, "{}", base::Text(event.status));
        exit_code_ = base::kExitFailure;
      }
      phase_ = Phase::kDone;
      return;
    case AdminProcess::Kind::kTapGone:
      OnTapGone();
      return;
    case AdminProcess::Kind::kTapAppeared:
      OnTapAppeared();
      return;
    case AdminProcess::Kind::kIdentify:
    case AdminProcess::Kind::kCloseTap:
    case AdminProcess::Kind::kAbandon:
    case AdminProcess::Kind::kDropOldTap:
      return;
  }
}

// Starts another administration process and repeats what the dead one may have
// left undone.
void Supervisor::RestartAdmin() {
  admin_restart_at_.reset();
  admin_started_ = net::Now();
  absl::StatusOr<AdminProcess> admin =
      AdminProcess::Start(&options_.sandbox, tap_, options_.tap);
  if (!admin.ok()) {
    Log(Severity::kError, "{}", base::Text(admin.status()));
    admin_restart_at_ = admin_started_ + kAdminPause;
    return;
  }
  admin_ = std::move(*admin);
  tap_settings_.Start(std::nullopt);
  if (phase_ == Phase::kDetaching) {
    admin_.Detach(options_.name);
    return;
  }
  tap_opening_ = false;
  if (!tap_ready_) OpenTap();
  if (!attached_ && !kicks_.empty()) admin_.Attach(options_.name);
}

std::optional<int> Supervisor::TakeSignal() {
  signalfd_siginfo info = {};
  if (read(signals_.get(), &info, sizeof(info)) < 0) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

void Supervisor::OnSignal() {
  const std::optional<int> taken = TakeSignal();
  if (!taken) return;
  if (*taken == SIGCHLD) {
    ReapChildren();
    return;
  }
  if (*taken == SIGHUP) {
    BeginUpgrade();
    return;
  }
  if (*taken == SIGUSR1) {
    Order({.kind = DeviceOrder::Kind::kReport});
    if (!tap_settings_.why().empty()) {
      Log(Severity::kInfo,
          "the TAP refuses the settings that the driver asked for: {}",
          tap_settings_.why());
    }
    return;
  }
  if (phase_ == Phase::kDetaching) {
    Log(Severity::kWarning,
        "second signal: leaving the device '{}' behind. Start `vduse-net run` "
        "again to supervise it",
        options_.name);
    leave_device_ = true;
    phase_ = Phase::kDone;
    return;
  }
  BeginDetach();
}

void Supervisor::BeginDetach() {
  if (phase_ == Phase::kDetaching) return;
  phase_ = Phase::kDetaching;
  tap_retry_at_.reset();
  Log(Severity::kInfo, "detaching '{}'", options_.name);
  SdNotify("STOPPING=1");
  vhost_device_ = vduse::VhostDeviceOf(options_.name);
  admin_.Detach(options_.name);
  detach_notice_at_ = net::Now() + kDetachNotice;
}

// If vhost_vdpa is bound to the device, the kernel waits until nobody has it
// open.
void Supervisor::SayWhatDetachWaitsFor() {
  detach_notice_at_.reset();
  Log(Severity::kWarning,
      "'{}' is not detached yet and is served meanwhile: the kernel waits {}",
      options_.name,
      vhost_device_.empty()
          ? "for its driver"
          : fmt::format("until the process that has {} open, usually a VMM, "
                        "closes it: end that process first",
                        vhost_device_));
}

std::optional<net::Instant> Supervisor::Deadline() const {
  std::optional<net::Instant> first;
  for (const auto& at : {admin_restart_at_, detach_notice_at_, replace_at_,
                         upgrade_by_, serves_by_, standby_at_, watch_.look_at(),
                         end_watch_.due(), TapDeadline()}) {
    first = net::Earlier(first, at);
  }
  return first;
}

void Supervisor::DoWhatIsDue() {
  ServeTap();
  const net::Instant now = net::Now();
  if (watch_.look_at() && now >= *watch_.look_at()) {
    if (const auto thread = watch_.Look(now)) {
      OnHang(fmt::format("its {} has made no progress for {} ms", *thread,
                         options_.hang_msecs));
    }
  }
  SayWhatEndWaitsFor();
  if (serves_by_ && now >= *serves_by_) CheckStart();
  if (replace_at_ && now >= *replace_at_) Replace();
  if (standby_at_ && now >= *standby_at_) StartStandby();
  if (upgrade_by_ && now >= *upgrade_by_) EndUpgrade("it does not get ready");
  if (admin_restart_at_ && now >= *admin_restart_at_) RestartAdmin();
  if (detach_notice_at_ && now >= *detach_notice_at_) SayWhatDetachWaitsFor();
}

void Supervisor::ServeAdmin() {
  absl::StatusOr<AdminProcess::Event> event = admin_.Next();
  if (event.ok()) {
    OnAdminEvent(std::move(*event));
    return;
  }
  // Keep serving the driver: leaving would hang everyone who waits for it.
  Log(Severity::kWarning, "{}: starting another", base::Text(event.status()));
  admin_restart_at_ = std::max(net::Now(), admin_started_ + kAdminPause);
}

base::ExitCode Supervisor::Serve() {
  std::vector<pollfd> fds;
  ReapChildren();  // an administration process that was replaced
  while (phase_ != Phase::kDone) {
    DoWhatIsDue();
    enum Source { kSignals, kAdmin, kDevice, kNewProgram, kWatched };
    fds.clear();
    fds.push_back({signals_.get(), POLLIN, 0});
    fds.push_back({admin_restart_at_ ? -1 : admin_.fd(), POLLIN, 0});
    fds.push_back({serving_ ? serving_->fd() : -1, POLLIN, 0});
    fds.push_back({new_program_ ? new_program_->fd() : -1, POLLIN, 0});
    watch_.AddPolls(fds);
    timespec timeout = {};
    const std::optional<net::Instant> deadline = Deadline();
    if (deadline) {
      const net::Duration rest =
          std::max(*deadline - net::Now(), net::Duration::zero());
      timeout.tv_sec = rest.count() / 1'000'000'000;
      timeout.tv_nsec = rest.count() % 1'000'000'000;
    }
    if (ppoll(fds.data(), fds.size(), deadline ? &timeout : nullptr, nullptr) <
        0) {
      continue;  // EINTR; any other error would be a bug here
    }
    for (size_t i = kWatched; i < fds.size(); ++i) {
      if (fds[i].revents != 0) watch_.OnReady(net::Now());
    }
    if (fds[kDevice].revents != 0) OnReports();
    if (fds[kNewProgram].revents != 0) OnNewProgram();
    if (fds[kSignals].revents != 0) OnSignal();
    if (fds[kAdmin].revents != 0) ServeAdmin();
  }
  return exit_code_;
}

}  // namespace program
