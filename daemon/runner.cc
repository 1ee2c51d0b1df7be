// SPDX-License-Identifier: Apache-2.0
//
// A device in service. How it comes and goes: runner_setup.cc.
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
#include "daemon/device_service.h"
#include "daemon/migration_state.h"
#include "daemon/sd_notify.h"
#include "net/offload.h"
#include "vduse/vdpa_bus.h"

namespace program {
namespace {

using base::Log;
using base::Severity;

constexpr net::Time kTapRetry = std::chrono::seconds(1);
// Between two starts of the administration process.
constexpr net::Time kAdminPause = std::chrono::seconds(1);
// How long a detach takes before it is worth a word.
constexpr net::Time kDetachNotice = std::chrono::seconds(2);

}  // namespace

ExitCode Runner::Run() {
  if (const auto failed = Open()) {
    return adopted_ ? *failed : CloseTap(*failed);
  }
  if (const auto failed = BuildDevice()) {
    return adopted_ ? *failed : Dismantle(*failed);
  }
  const ExitCode served = Serve();
  // Left behind as a killed process leaves it: the kernel closes the device
  // first. Taking things apart here would close the TAP first, which can
  // wait for a lock whose holder waits for this very device.
  if (leave_device_) _exit(served);
  return Dismantle(served);
}

void Runner::Save() { state_.Write(saved_); }

// Without it the device does as well.
void Runner::ListenToOperator() {
  DeviceOperations device;
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
    return FormatMigrationState({.mac = saved_.mac,
                                 .mtu = saved_.mtu,
                                 .queue_size = saved_.queue_size,
                                 .device = net_->state()});
  };
  absl::StatusOr<VarlinkServer> server = VarlinkServer::Listen(
      DeviceSocket(options_.state_dir, options_.name), DeviceService(device));
  if (server.ok()) {
    operator_socket_.emplace(std::move(*server));
  } else {
    Log(Severity::kWarning, "no commands will be answered: {}",
        base::Text(server.status()));
  }
}

void Runner::OpenTap() {
  admin_.OpenTap(options_.tap, options_.mtu, saved_.queue_pairs);
}

void Runner::OnTap(AdminProcess::Event event) {
  // It may have been made before something failed.
  if (event.tap_created && !saved_.tap_created) {
    saved_.tap_created = true;
    Save();
  }
  if (!event.status.ok() || event.tap.empty()) {
    Log(Severity::kError, "{}", base::Text(event.status));
    if (adopted_) {
      // A driver is using the device: it is served, with its link down.
      if (phase_ != Phase::kDetaching) tap_retry_at_ = net::Now() + kTapRetry;
      return;
    }
    exit_code_ = kExitFailure;
    BeginDetach();
    return;
  }
  tap_copies_.clear();
  for (const net::Tap& queue : event.tap) {
    tap_copies_.emplace_back(fcntl(queue.fd(), F_DUPFD_CLOEXEC, 0));
  }
  // Without a control queue there is one pair, whatever was asked for.
  while (event.tap.size() > saved_.queue_pairs) event.tap.pop_back();
  const absl::Status set = net_->SetTap(std::move(event.tap));
  if (!set.ok()) Log(Severity::kError, "{}", base::Text(set));
  net_->SetLink(event.link_up);
  tap_ready_ = true;
  tap_settings_ = TapSettings{
      .offloads = 0, .queues = static_cast<uint32_t>(tap_copies_.size())};
  CheckReady();
}

// The driver says what packets may be left to it and how many queues it uses,
// and was answered; to tell the TAP takes the rtnl lock. One request at a time,
// and the latest counts: a driver may change its mind in a loop.
void Runner::FollowDriver() {
  if (!tap_ready_ || tap_asked_ || admin_restart_at_) return;
  const TapSettings wanted = {
      .offloads = net::TunOffloads(net_->guest_offloads()),
      .queues = net_->active_pairs()};
  if (tap_settings_ == wanted) return;
  admin_.SetTap(wanted.offloads, wanted.queues);
  tap_settings_ = wanted;
  tap_asked_ = true;
}

void Runner::CheckReady() {
  if (phase_ != Phase::kStarting || !tap_ready_ || !attached_) return;
  phase_ = Phase::kReady;
  const std::string text =
      fmt::format("ready: '{}' on '{}', {}", options_.name, options_.tap,
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
      tap_asked_ = false;
      if (!event.status.ok()) {
        Log(Severity::kError, "{}", base::Text(event.status));
      }
      return;
    case AdminProcess::Kind::kLink:
      net_->SetLink(event.link_up);
      return;
    case AdminProcess::Kind::kAttach:
      if (!event.status.ok() && !absl::IsAlreadyExists(event.status)) {
        Log(Severity::kError, "{}", base::Text(event.status));
        exit_code_ = kExitFailure;
        BeginDetach();
        return;
      }
      attached_ = true;
      CheckReady();
      return;
    case AdminProcess::Kind::kDetach:
      // That it was not attached is as good.
      if (!event.status.ok() && !absl::IsNotFound(event.status)) {
        Log(Severity::kError, "{}", base::Text(event.status));
        exit_code_ = kExitFailure;
      }
      phase_ = Phase::kDone;
      return;
    case AdminProcess::Kind::kCloseTap:
      return;
  }
}

// Takes up what the one that died may have left undone.
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
  tap_asked_ = false;
  tap_settings_.reset();
  if (phase_ == Phase::kDetaching) {
    admin_.Detach(options_.name);
    return;
  }
  if (!tap_ready_) OpenTap();
  if (!attached_) admin_.Attach(options_.name);
}

void Runner::OnSignal() {
  signalfd_siginfo info = {};
  if (read(signals_.get(), &info, sizeof(info)) < 0) return;
  if (info.ssi_signo == SIGUSR1) {
    for (const std::string& line : net_->Summary()) {
      Log(Severity::kInfo, "{}", line);
    }
    return;
  }
  if (phase_ == Phase::kDetaching) {
    Log(Severity::kWarning,
        "second signal: leaving the device '{}' behind, unserved. Start "
        "`vduse-net run` again to go on with it",
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

// Where vhost_vdpa has bound the kernel waits until nobody has it open.
void Runner::SayWhatDetachWaitsFor() {
  detach_notice_at_.reset();
  Log(Severity::kWarning,
      "'{}' is not detached yet and is served meanwhile: the kernel waits {}",
      options_.name,
      vhost_device_.empty()
          ? "for its driver"
          : fmt::format("until whoever has {} open, a VMM as a rule, "
                        "has closed it: end that first",
                        vhost_device_));
}

ExitCode Runner::Serve() {
  while (phase_ != Phase::kDone) {
    if (!device_broken_) {
      const absl::Status served = net_->Serve(net::Now());
      if (!served.ok()) {
        Log(Severity::kError, "{}", base::Text(served));
        device_broken_ = true;
        exit_code_ = kExitBroken;
        BeginDetach();
      }
    }
    FollowDriver();
    if (tap_retry_at_ && net::Now() >= *tap_retry_at_) {
      tap_retry_at_.reset();
      OpenTap();
    }
    if (admin_restart_at_ && net::Now() >= *admin_restart_at_) RestartAdmin();
    if (detach_notice_at_ && net::Now() >= *detach_notice_at_) {
      SayWhatDetachWaitsFor();
    }
    std::array<pollfd, 6> fds = {
        pollfd{signals_.get(), POLLIN, 0},
        pollfd{admin_restart_at_ ? -1 : admin_.fd(), POLLIN, 0},
        pollfd{device_broken_ ? -1 : device_->poll_fd(), POLLIN, 0},
        pollfd{device_broken_ ? -1 : net_->ctrl_kick_fd(), POLLIN, 0},
        pollfd{device_broken_ ? -1 : net_->attention_fd(), POLLIN, 0},
        pollfd{operator_socket_ ? operator_socket_->fd() : -1, POLLIN, 0}};
    timespec timeout = {};
    std::optional<net::Time> deadline =
        net::Earlier(admin_restart_at_, detach_notice_at_);
    if (!device_broken_) {
      deadline =
          net::Earlier(deadline, net::Earlier(net_->deadline(), tap_retry_at_));
    }
    if (deadline) {
      const net::Time rest =
          std::max(*deadline - net::Now(), net::Time::zero());
      timeout.tv_sec = rest.count() / 1'000'000'000;
      timeout.tv_nsec = rest.count() % 1'000'000'000;
    }
    if (ppoll(fds.data(), fds.size(), deadline ? &timeout : nullptr, nullptr) <
        0) {
      continue;  // EINTR; and an error would be our own bug
    }
    if ((fds[2].revents & (POLLERR | POLLNVAL)) != 0) {
      Log(Severity::kError, "the kernel has given the device up");
      device_broken_ = true;
      exit_code_ = kExitBroken;
      BeginDetach();
    }
    if (fds[0].revents != 0) OnSignal();
    if (fds[5].revents != 0) operator_socket_->Serve();
    if (fds[1].revents != 0) {
      absl::StatusOr<AdminProcess::Event> event = admin_.Next();
      if (event.ok()) {
        OnAdminEvent(std::move(*event));
      } else {
        // The driver goes on all the same; it must, for leaving would hang
        // whoever waits for it.
        Log(Severity::kWarning, "{}: starting another",
            base::Text(event.status()));
        admin_restart_at_ = std::max(net::Now(), admin_started_ + kAdminPause);
      }
    }
  }
  return exit_code_;
}

}  // namespace program
