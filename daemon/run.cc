// SPDX-License-Identifier: Apache-2.0
#include "daemon/run.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/unique_fd.h"
#include "daemon/admin_process.h"
#include "daemon/control_socket.h"
#include "daemon/device_setup.h"
#include "daemon/migration_state.h"
#include "daemon/sd_notify.h"
#include "daemon/state_file.h"
#include "net/features.h"
#include "net/net_device.h"
#include "vduse/sigbus_guard.h"
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

std::string Text(const absl::Status& status) {
  return std::string(status.message());
}

ExitCode Fail(ExitCode code, const absl::Status& status) {
  Log(Severity::kError, "{}", Text(status));
  return code;
}

// One device from start to end, on the control thread.
class Runner {
 public:
  Runner(const RunOptions& options, AdminProcess admin, StateFile state,
         base::UniqueFd signals)
      : options_(options),
        admin_(std::move(admin)),
        state_(std::move(state)),
        signals_(std::move(signals)) {}

  ExitCode Run() {
    if (const auto failed = Open()) {
      return adopted_ ? *failed : RemoveTap(*failed);
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

 private:
  enum class Phase {
    kStarting,  // waiting for the TAP (adopted devices) and the bus
    kReady,
    kDetaching,  // asked to; still serving, or the bus could not detach
    kDone,
  };

  void RestartAdmin();
  std::optional<ExitCode> Open();
  std::optional<ExitCode> Create();
  std::optional<ExitCode> BuildDevice();
  ExitCode Serve();
  ExitCode Dismantle(ExitCode code);
  ExitCode RemoveTap(ExitCode code);
  void OnAdminEvent(AdminProcess::Event event);
  void OnTap(AdminProcess::Event event);
  void OnSignal();
  void CheckReady();
  void BeginDetach();
  void SayWhatDetachWaitsFor();
  void Save();
  absl::StatusOr<std::string> Answer(const std::string& request);

  const RunOptions& options_;
  AdminProcess admin_;
  StateFile state_;
  base::UniqueFd signals_;

  SavedState saved_;
  std::optional<SavedState> predecessor_;
  std::optional<net::DeviceState> restored_;  // of --restore
  std::optional<ControlSocket> control_socket_;
  std::unique_ptr<vduse::KernelDevice> device_;
  std::unique_ptr<net::NetDevice> net_;
  std::optional<AdminProcess::Event> early_tap_;
  bool adopted_ = false;
  bool tap_ready_ = false;
  std::optional<net::Time> tap_retry_at_;
  base::UniqueFd tap_copy_;  // for a new administration process
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

std::optional<ExitCode> Runner::Open() {
  auto existing = AdoptNetDevice(options_.name);
  if (absl::IsNotFound(existing.status())) return Create();
  if (!existing.ok()) return Fail(kExitFailure, existing.status());

  adopted_ = true;
  device_ = std::move(*existing);
  predecessor_ = state_.Read();
  const bool has_control = device_->queue_count() % 2 == 1;
  const uint64_t all = net::kOfferedFeatures;
  saved_.features = predecessor_  ? predecessor_->features & all
                    : has_control ? all
                                  : net::WithoutControlQueue(all);
  if (predecessor_) {
    saved_.mac = predecessor_->mac;
    saved_.mtu = predecessor_->mtu;
    saved_.queue_size = predecessor_->queue_size;
    saved_.tap_created = predecessor_->tap_created;
  } else {
    saved_.mac = options_.mac.value_or(net::MacAddress{});
    saved_.mtu = options_.mtu.value_or(kDefaultMtu);
    saved_.queue_size = options_.queue_size.value_or(kDefaultQueueSize);
  }
  Log(Severity::kInfo, "device '{}' exists and nobody serves it: adopting it",
      options_.name);
  if (!options_.restore.empty() || !options_.profile.empty()) {
    Log(Severity::kWarning,
        "--restore and --profile are for a new device: not used");
  }
  return std::nullopt;
}

// A new device: first the TAP, while no lock can depend on us.
std::optional<ExitCode> Runner::Create() {
  const absl::StatusOr<NewDevice> wanted = PlanDevice(options_);
  if (!wanted.ok()) return Fail(kExitFailure, wanted.status());
  admin_.OpenTap(options_.tap, options_.mtu);
  absl::StatusOr<AdminProcess::Event> tap = admin_.Next();
  if (!tap.ok()) return Fail(kExitFailure, tap.status());
  if (!tap->status.ok()) return Fail(kExitFailure, tap->status);
  saved_.tap_created = tap->tap_created;
  early_tap_.emplace(std::move(*tap));

  absl::StatusOr<vduse::ControlDevice> control = vduse::ControlDevice::Open();
  if (!control.ok()) return Fail(kExitHost, control.status());
  absl::StatusOr<CreatedDevice> created = CreateNetDevice(*control, *wanted);
  if (!created.ok()) return Fail(kExitHost, created.status());
  device_ = std::move(created->device);
  saved_.features = created->features;
  restored_ = wanted->restored;
  saved_.mac = wanted->config.mac;
  saved_.mtu = wanted->config.mtu;
  saved_.queue_size = wanted->queue_size;
  Log(Severity::kInfo, "device '{}' created: MAC {}, MTU {}, features {}",
      options_.name, FormatMac(saved_.mac), saved_.mtu,
      net::FeatureNames(saved_.features));
  if (!net::Has(saved_.features, net::kFeatureCtrlVq)) {
    Log(Severity::kWarning, "no control queue: {}", kNoControlQueueText);
  }
  return std::nullopt;
}

std::optional<ExitCode> Runner::BuildDevice() {
  net::NetDevice::Options options;
  options.features = saved_.features;
  options.mtu = saved_.mtu;
  options.rx = options_.rx;
  options.tx = options_.tx;
  options.persist = [this](const net::DeviceState& device) {
    saved_.device = device;
    Save();
  };
  auto net = net::NetDevice::Create(*device_, std::move(options));
  if (!net.ok()) return Fail(kExitFailure, net.status());
  net_ = std::move(*net);
  attached_ = !options_.attach;  // the operator's business
  if (adopted_) {
    // The kernel and the control queue are answered before anything else.
    std::optional<net::DeviceState> device;
    if (predecessor_) device = saved_.device = predecessor_->device;
    net_->Resume(device);
    admin_.OpenTap(options_.tap, options_.mtu);
  } else {
    if (restored_) {
      const absl::Status fits = net_->Restore(*restored_);
      if (!fits.ok()) {
        return Fail(kExitFailure,
                    absl::InvalidArgumentError(fmt::format(
                        "--restore {}: {}", options_.restore, Text(fits))));
      }
    }
    OnTap(std::move(*early_tap_));
    early_tap_.reset();
  }
  Save();
  absl::StatusOr<ControlSocket> socket =
      ControlSocket::Open(options_.state_dir, options_.name);
  if (socket.ok()) {
    control_socket_.emplace(std::move(*socket));
  } else {
    Log(Severity::kWarning, "no commands will be answered: {}",
        Text(socket.status()));
  }
  if (options_.attach) admin_.Attach(options_.name);
  return std::nullopt;
}

void Runner::Save() { state_.Write(saved_); }

absl::StatusOr<std::string> Runner::Answer(const std::string& request) {
  if (request == kRequestState) {
    return FormatMigrationState({.mac = saved_.mac,
                                 .mtu = saved_.mtu,
                                 .queue_size = saved_.queue_size,
                                 .device = net_->state()});
  }
  return absl::InvalidArgumentError(
      fmt::format("this release does not know the request '{}'", request));
}

void Runner::OnTap(AdminProcess::Event event) {
  if (!event.status.ok() || !event.tap) {
    Log(Severity::kError, "{}", Text(event.status));
    if (adopted_) {
      // A driver is using the device: it is served, with its link down.
      tap_retry_at_ = net::Now() + kTapRetry;
      return;
    }
    exit_code_ = kExitFailure;
    BeginDetach();
    return;
  }
  if (event.tap_created && !saved_.tap_created) {
    saved_.tap_created = true;
    Save();
  }
  tap_copy_ = base::UniqueFd(fcntl(event.tap->fd(), F_DUPFD_CLOEXEC, 0));
  const absl::Status set = net_->SetTap(std::move(*event.tap));
  if (!set.ok()) Log(Severity::kError, "{}", Text(set));
  net_->SetLink(event.link_up);
  tap_ready_ = true;
  CheckReady();
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
    case AdminProcess::Kind::kLink:
      net_->SetLink(event.link_up);
      return;
    case AdminProcess::Kind::kAttach:
      if (!event.status.ok() && !absl::IsAlreadyExists(event.status)) {
        Log(Severity::kError, "{}", Text(event.status));
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
        Log(Severity::kError, "{}", Text(event.status));
        exit_code_ = kExitFailure;
      }
      phase_ = Phase::kDone;
      return;
    case AdminProcess::Kind::kRemoveTap:
      return;
  }
}

// Takes up what the one that died may have left undone.
void Runner::RestartAdmin() {
  admin_restart_at_.reset();
  admin_started_ = net::Now();
  absl::StatusOr<AdminProcess> admin =
      AdminProcess::Start(tap_copy_.get(), options_.tap);
  if (!admin.ok()) {
    Log(Severity::kError, "{}", Text(admin.status()));
    admin_restart_at_ = admin_started_ + kAdminPause;
    return;
  }
  admin_ = std::move(*admin);
  if (!tap_ready_) admin_.OpenTap(options_.tap, options_.mtu);
  if (phase_ == Phase::kDetaching) {
    admin_.Detach(options_.name);
  } else if (!attached_) {
    admin_.Attach(options_.name);
  }
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
        Log(Severity::kError, "{}", Text(served));
        device_broken_ = true;
        exit_code_ = kExitBroken;
        BeginDetach();
      }
    }
    if (tap_retry_at_ && net::Now() >= *tap_retry_at_) {
      tap_retry_at_.reset();
      admin_.OpenTap(options_.tap, options_.mtu);
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
        pollfd{control_socket_ ? control_socket_->fd() : -1, POLLIN, 0}};
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
    if (fds[5].revents != 0) {
      control_socket_->Serve(
          [this](const std::string& request) { return Answer(request); });
    }
    if (fds[1].revents != 0) {
      absl::StatusOr<AdminProcess::Event> event = admin_.Next();
      if (event.ok()) {
        OnAdminEvent(std::move(*event));
      } else {
        // The driver goes on all the same; it must, for leaving would hang
        // whoever waits for it.
        Log(Severity::kWarning, "{}: starting another", Text(event.status()));
        admin_restart_at_ = std::max(net::Now(), admin_started_ + kAdminPause);
      }
    }
  }
  return exit_code_;
}

// The device is off the bus: it can go, and what came with it.
ExitCode Runner::Dismantle(ExitCode code) {
  if (net_) {
    for (const std::string& line : net_->Summary()) {
      Log(Severity::kInfo, "{}", line);
    }
  }
  net_.reset();
  device_.reset();
  absl::StatusOr<vduse::ControlDevice> control = vduse::ControlDevice::Open();
  const absl::Status destroyed =
      control.ok() ? control->Destroy(options_.name) : control.status();
  if (!destroyed.ok()) return Fail(kExitFailure, destroyed);
  state_.Remove();
  Log(Severity::kInfo, "device '{}' destroyed", options_.name);
  return RemoveTap(code);
}

// The TAP goes if it was made for the device.
ExitCode Runner::RemoveTap(ExitCode code) {
  tap_copy_.Reset();
  if (!saved_.tap_created) return code;
  admin_.RemoveTap();
  for (;;) {
    const absl::StatusOr<AdminProcess::Event> event = admin_.Next();
    if (!event.ok()) return Fail(kExitFailure, event.status());
    if (event->kind != AdminProcess::Kind::kRemoveTap) continue;
    return event->status.ok() ? code : Fail(kExitFailure, event->status);
  }
}

}  // namespace

ExitCode Run(const RunOptions& options) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal_number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) {
    sigaddset(&set, signal_number);
  }
  // Before there are threads, so that all of them inherit it.
  sigprocmask(SIG_BLOCK, &set, nullptr);
  base::UniqueFd signals(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) {
    return Fail(kExitFailure, absl::ErrnoToStatus(errno, "signalfd"));
  }
  signal(SIGCHLD, SIG_IGN);  // children are reaped, their end is seen anyway
  absl::StatusOr<AdminProcess> admin = AdminProcess::Start();
  if (!admin.ok()) return Fail(kExitFailure, admin.status());
  absl::StatusOr<StateFile> state =
      StateFile::Open(options.state_dir, options.name);
  if (!state.ok()) return Fail(kExitFailure, state.status());
  vduse::SigbusGuard::Install();
  Runner runner(options, std::move(*admin), std::move(*state),
                std::move(signals));
  return runner.Run();
}

}  // namespace program
