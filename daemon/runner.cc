// SPDX-License-Identifier: Apache-2.0
//
// A device in service. Its start and end are in runner_setup.cc, its TAP in
// runner_tap.cc.
#include "daemon/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/log.h"
#include "base/status_text.h"
#include "daemon/sd_notify.h"
#include "rpc/device_service.h"
#include "state/migration_state.h"
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

base::ExitCode Runner::Run() {
  if (const auto failed = Open()) {
    return adopted_ ? *failed : CloseTap(*failed);
  }
  if (const auto failed = BuildDevice()) {
    return adopted_ ? *failed : Dismantle(*failed);
  }
  const base::ExitCode served = Serve();
  // Leave the device as a killed process would: the kernel closes the device
  // first. An orderly end here would close the TAP first, which can wait for a
  // lock whose holder waits for this very device.
  if (leave_device_) _exit(served);
  return Dismantle(served);
}

void Runner::Save() { state_.Write(saved_); }

// Opens the operator's socket. The device also works without it.
void Runner::ListenToOperator() {
  rpc::DeviceOperations device;
  device.name = options_.name;
  device.setting = [this](coalesce::Direction direction) {
    return net_->operator_coalescing(direction);
  };
  device.change_setting = [this](coalesce::Direction direction,
                                 const coalesce::Setting& setting) {
    (direction == coalesce::Direction::kRx ? saved_.operator_rx
                                           : saved_.operator_tx) = setting;
    Save();
    net_->SetOperatorCoalescing(direction, setting);
  };
  device.report = [this] { return net_->ReportCoalescing(); };
  device.state = [this] {
    return state::FormatMigrationState({.mac = saved_.mac,
                                        .mtu = saved_.mtu,
                                        .queue_size = saved_.queue_size,
                                        .device = net_->state()});
  };
  absl::StatusOr<rpc::VarlinkServer> server = rpc::VarlinkServer::Listen(
      rpc::DeviceSocket(options_.state_dir, options_.name),
      rpc::DeviceService(device));
  if (server.ok()) {
    operator_socket_.emplace(std::move(*server));
  } else {
    Log(Severity::kWarning,
        "no operator's socket: `coalesce`, `tune` and `state` will not reach "
        "this process: {}",
        base::Text(server.status()));
  }
}

void Runner::CheckReady() {
  const bool can_wait = adopted_ && !tap_wait_until_;
  if (phase_ != Phase::kStarting || !attached_ || !(tap_ready_ || can_wait)) {
    return;
  }
  phase_ = Phase::kReady;
  const std::string text =
      fmt::format("ready: '{}' on '{}'{}, {}", options_.name, options_.tap,
                  tap_ready_ ? "" : ", which is not open yet: the link is down",
                  net_->has_control_queue() ? "with control queue"
                                            : "without control queue");
  Log(Severity::kInfo, "{}", text);
  SdNotify("READY=1\nSTATUS=" + text);
}

void Runner::OnAdminEvent(AdminProcess::Event event) {
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
void Runner::RestartAdmin() {
  admin_restart_at_.reset();
  admin_started_ = net::Now();
  absl::StatusOr<AdminProcess> admin =
      AdminProcess::Start(tap_copies_, options_.tap);
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
  if (!attached_) admin_.Attach(options_.name);
}

std::optional<int> Runner::TakeSignal() {
  signalfd_siginfo info = {};
  if (read(signals_.get(), &info, sizeof(info)) < 0) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

void Runner::OnSignal() {
  const std::optional<int> taken = TakeSignal();
  if (!taken) return;
  if (*taken == SIGUSR1) {
    for (const std::string& line : net_->Summary()) {
      Log(Severity::kInfo, "{}", line);
    }
    if (!tap_settings_.why().empty()) {
      Log(Severity::kInfo,
          "the TAP refuses the settings that the driver asked for: {}",
          tap_settings_.why());
    }
    return;
  }
  if (phase_ == Phase::kDetaching) {
    Log(Severity::kWarning,
        "second signal: leaving the device '{}' behind, unserved. Start "
        "`vduse-net run` again to serve it",
        options_.name);
    leave_device_ = true;
    phase_ = Phase::kDone;
    return;
  }
  BeginDetach();
}

void Runner::BeginDetach() {
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
void Runner::SayWhatDetachWaitsFor() {
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

void Runner::OnDeviceBroken(const std::string& why) {
  Log(Severity::kError, "{}", why);
  device_broken_ = true;
  exit_code_ = base::kExitBroken;
  BeginDetach();
}

std::optional<net::Instant> Runner::Deadline() const {
  const std::optional<net::Instant> own =
      net::Earlier(admin_restart_at_, detach_notice_at_);
  if (device_broken_) return own;
  return net::Earlier(own, net::Earlier(net_->deadline(), TapDeadline()));
}

// Does what is due by now.
void Runner::ServeDevice() {
  if (!device_broken_) {
    const absl::Status served = net_->Serve(net::Now());
    if (!served.ok()) OnDeviceBroken(base::Text(served));
  }
  ServeTap();
  if (admin_restart_at_ && net::Now() >= *admin_restart_at_) RestartAdmin();
  if (detach_notice_at_ && net::Now() >= *detach_notice_at_) {
    SayWhatDetachWaitsFor();
  }
}

void Runner::ServeAdmin() {
  absl::StatusOr<AdminProcess::Event> event = admin_.Next();
  if (event.ok()) {
    OnAdminEvent(std::move(*event));
    return;
  }
  // Keep serving the driver: leaving would hang everyone who waits for it.
  Log(Severity::kWarning, "{}: starting another", base::Text(event.status()));
  admin_restart_at_ = std::max(net::Now(), admin_started_ + kAdminPause);
}

base::ExitCode Runner::Serve() {
  while (phase_ != Phase::kDone) {
    ServeDevice();
    enum Source { kSignals, kAdmin, kDevice, kCtrlKick, kAttention, kOperator };
    const auto while_whole = [&](int fd) { return device_broken_ ? -1 : fd; };
    std::array<pollfd, 6> fds = {
        pollfd{signals_.get(), POLLIN, 0},
        pollfd{admin_restart_at_ ? -1 : admin_.fd(), POLLIN, 0},
        pollfd{while_whole(device_->poll_fd()), POLLIN, 0},
        pollfd{while_whole(net_->ctrl_kick_fd()), POLLIN, 0},
        pollfd{while_whole(net_->attention_fd()), POLLIN, 0},
        pollfd{operator_socket_ ? operator_socket_->fd() : -1, POLLIN, 0}};
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
    if ((fds[kDevice].revents & (POLLERR | POLLNVAL)) != 0) {
      OnDeviceBroken("the kernel has marked the device broken");
    }
    if (fds[kSignals].revents != 0) OnSignal();
    if (fds[kOperator].revents != 0) operator_socket_->Serve();
    if (fds[kAdmin].revents != 0) ServeAdmin();
  }
  return exit_code_;
}

}  // namespace program
