// SPDX-License-Identifier: Apache-2.0
//
// The start of a device, created or adopted from a killed process, and its end.
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "base/status_text.h"
#include "daemon/adoption.h"
#include "daemon/device_holders.h"
#include "daemon/device_setup.h"
#include "daemon/hand_over.h"
#include "daemon/supervisor.h"
#include "net/wire/features.h"
#include "vduse/vdpa_bus.h"

namespace program {
namespace {

using base::Log;
using base::Severity;

constexpr int kIdentifyMsecs = 1000;
// How long an adopted device waits for its TAP before it is ready without.
constexpr net::Duration kTapPatience = std::chrono::seconds(5);

// Whether a signal asks for nothing that matters while there is no device.
bool OnlyInforms(int signal_number) {
  return signal_number == SIGUSR1 || signal_number == SIGCHLD;
}

// Kills the device process that does not answer, without waiting for its end:
// adopting the device does that, and what the end waits for may need a device
// that is served.
absl::Status KillOrphan(const std::string& name) {
  const absl::StatusOr<std::vector<pid_t>> killed =
      KillServing(vduse::DevicePath(name));
  if (!killed.ok()) return killed.status();
  for (const pid_t pid : *killed) {
    Log(Severity::kError,
        "process {} serves the device without a supervisor and hangs: it is "
        "killed. The TAP goes with it, unless it has given that away: packets "
        "that wait there, or arrive before the TAP is open again, are lost",
        pid);
  }
  if (killed->empty()) {
    Log(Severity::kWarning,
        "a process that waits for a supervisor does not answer, and does not "
        "serve the device: going on without it");
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<base::ExitCode> Supervisor::Open() {
  // Check the options before anything is touched.
  if (const auto saved = state_.Read(); saved && DeviceExists(options_.name)) {
    const absl::Status fits = FitsDevice(options_, *saved);
    if (!fits.ok()) {
      adopted_ = true;  // leave everything for a later adoption
      return base::Fail(base::kExitUsage, fits);
    }
  }
  if (const auto failed = TakeOverTap()) return failed;
  auto existing = AdoptNetDevice(
      options_.name, [this](auto pause) { return SleepUnlessEnded(pause); });
  if (absl::IsNotFound(existing.status())) {
    const std::optional<base::ExitCode> failed = Create();
    // A state file that was there belonged to a device that is gone.
    if (failed) state_.Remove();
    return failed;
  }
  if (absl::IsCancelled(existing.status())) return Abandon();
  if (!existing.ok()) return base::Fail(base::kExitFailure, existing.status());
  return Adopt(std::move(*existing));
}

// Takes over from a device process that has lost its supervisor, if there is
// one. One that hangs is killed.
std::optional<base::ExitCode> Supervisor::TakeOverTap() {
  absl::StatusOr<Estate> estate =
      TakeOver(HandOverSocket(options_.state_dir, options_.name),
               [this] { return KillOrphan(options_.name); });
  if (absl::IsNotFound(estate.status())) return std::nullopt;
  if (!estate.ok()) {
    adopted_ = true;  // leave everything for a later adoption
    return base::Fail(base::kExitFailure,
                      absl::FailedPreconditionError(fmt::format(
                          "{}: end it with SIGKILL, and start this again",
                          base::Text(estate.status()))));
  }
  journal_ = std::move(estate->journal);
  HeldTap& tap = estate->tap;
  if (tap.queues.empty()) return std::nullopt;
  tap_ = std::move(tap.queues);
  tap_drops_ = std::move(tap.drops);
  link_up_ = tap.link_up;
  tap_ready_ = true;
  RestartAdmin();
  return std::nullopt;
}

// Has a time limit, because the holder of the bus lock may be waiting for this
// very device.
std::optional<uint32_t> Supervisor::AskForType() {
  admin_.Identify(options_.name);
  const auto answer = WaitForAdmin(kIdentifyMsecs);
  if (!answer.ok() || answer->kind != AdminProcess::Kind::kIdentify ||
      !answer->status.ok()) {
    return std::nullopt;
  }
  return answer->device_id;
}

std::optional<base::ExitCode> Supervisor::Adopt(
    std::unique_ptr<vduse::KernelDevice> device) {
  const std::optional<state::SavedState> predecessor = state_.Read();
  ExistingDevice existing = {.name = options_.name,
                             .queue_count = device->queue_count(),
                             .on_bus = vduse::IsOnBus(options_.name),
                             .virtio_type = vduse::VirtioTypeOf(options_.name),
                             .state = predecessor};
  if (!existing.virtio_type && !existing.state && existing.on_bus) {
    existing.virtio_type = AskForType();
  }
  if (absl::Status good = JudgeExisting(existing); !good.ok()) {
    base::Fail(base::kExitFailure, good);
    admin_.Abandon();
    abandoned_ = true;
    return base::kExitFailure;
  }
  adopted_ = true;
  device_ = std::move(device);
  const bool has_control = device_->queue_count() % 2 == 1;
  saved_.queue_pairs = device_->queue_count() / 2;
  const uint64_t all = FeaturesFor(saved_.queue_pairs);
  if (predecessor) {
    const uint32_t queue_pairs = saved_.queue_pairs;
    saved_ = *predecessor;
    saved_.queue_pairs = queue_pairs;
    saved_.features &= all;
  } else {
    saved_.features = has_control ? all : net::WithoutControlQueue(all);
    saved_.mac = options_.mac.value_or(net::MacAddress{});
    saved_.mtu = options_.mtu.value_or(kDefaultMtu);
    saved_.queue_size = options_.queue_size.value_or(kDefaultQueueSize);
  }
  state_found_ = predecessor.has_value();
  saved_.tap_name = options_.tap;
  // In this release's layout from now on.
  if (predecessor) state_.Write(saved_);
  state_.Appear();
  if (!tap_ready_) tap_wait_until_ = net::Now() + kTapPatience;
  Log(Severity::kInfo,
      "device '{}' exists and no process serves it: adopting it",
      options_.name);
  if (!options_.restore.empty() || !options_.profile.empty()) {
    Log(Severity::kWarning,
        "--restore and --profile are ignored: they apply to a new device only");
  }
  return std::nullopt;
}

// Creates a new device. Opens the TAP first, while no holder of a lock can be
// waiting for the device.
std::optional<base::ExitCode> Supervisor::Create() {
  absl::StatusOr<NewDevice> wanted = PlanDevice(options_);
  if (!wanted.ok()) return base::Fail(base::kExitFailure, wanted.status());
  saved_.queue_pairs = wanted->queue_pairs;
  saved_.tap_name = options_.tap;
  OpenTap();
  absl::StatusOr<AdminProcess::Event> tap = WaitForAdmin();
  if (absl::IsCancelled(tap.status())) return Abandon();
  if (!tap.ok()) return base::Fail(base::kExitFailure, tap.status());
  // The TAP may have been created before a later step failed.
  saved_.tap_created = tap->tap_created;
  if (!tap->status.ok()) return base::Fail(base::kExitFailure, tap->status);
  if (options_.engine == net::Engine::kUring) {
    const auto uring = net::Uring::Create(tap->tap.front().fd());
    if (!uring.ok()) {
      return base::Fail(base::kExitHost,
                        absl::UnavailableError(fmt::format(
                            "--engine io_uring: {}; leave the option out",
                            base::Text(uring.status()))));
    }
  }
  wanted->uso = tap->tap_knows_uso;
  if (!options_.speed) {
    wanted->config.speed = tap->tap_speed.mbits;
    wanted->config.duplex = tap->tap_speed.duplex;
  }
  absl::StatusOr<vduse::ControlDevice> control = vduse::ControlDevice::Open();
  if (!control.ok()) return base::Fail(base::kExitHost, control.status());
  absl::StatusOr<CreatedDevice> created = CreateNetDevice(*control, *wanted);
  if (!created.ok()) return base::Fail(base::kExitHost, created.status());
  device_ = std::move(created->device);
  restored_ = wanted->restored;
  journal_.Reset();
  state::SavedState initial = InitialState(*wanted, *created);
  initial.tap_name = saved_.tap_name;
  initial.tap_created = saved_.tap_created;
  saved_ = std::move(initial);
  state_.Write(saved_);  // otherwise nobody would know that the device is ours
  Log(Severity::kInfo, "device '{}' created: MAC {}, MTU {}, features {}",
      options_.name, net::FormatMac(saved_.mac), saved_.mtu,
      net::FeatureNames(saved_.features));
  if (!net::Has(saved_.features, net::kFeatureCtrlVq)) {
    Log(Severity::kWarning, "no control queue{}: {}",
        wanted->queue_pairs > 1 ? ", and so one queue pair" : "",
        kNoControlQueueText);
  }
  OnTap(std::move(*tap));
  return std::nullopt;
}

net::NetDevice::Options Supervisor::DeviceOptions() const {
  net::NetDevice::Options options;
  options.features = saved_.features;
  options.queue_pairs = saved_.queue_pairs;
  options.cpus = options_.cpus;
  // If the MTU that the driver was told is unknown, no frame of the driver is
  // too large. If the queue size is unknown, any size is accepted.
  const bool known = !adopted_ || state_found_;
  options.mtu = known ? saved_.mtu : options_.mtu.value_or(net::kMaxMtu);
  if (known) options.max_queue_size = saved_.queue_size;
  options.engine = options_.engine;
  options.busy_poll = std::chrono::microseconds(options_.busy_poll_usecs);
  options.timer_poll = std::chrono::microseconds(options_.timer_poll_usecs);
  options.mac = saved_.mac;
  options.rx = options_.rx;
  options.tx = options_.tx;
  return options;
}

// The device is off the bus: destroys it and what belongs to it.
base::ExitCode Supervisor::Dismantle(base::ExitCode code) {
  EndServing();
  device_.reset();
  RemoveSockets();
  absl::StatusOr<vduse::ControlDevice> control = vduse::ControlDevice::Open();
  const absl::Status destroyed =
      control.ok() ? control->Destroy(options_.name) : control.status();
  if (!destroyed.ok()) {
    return base::Fail(base::kExitFailure, destroyed);
  }
  state_.Remove();
  Log(Severity::kInfo, "device '{}' destroyed", options_.name);
  return CloseTap(code);
}

// Returns true after `length`, or false as soon as a signal asks for the end.
bool Supervisor::SleepUnlessEnded(std::chrono::milliseconds length) {
  const net::Instant end = net::Now() + length;
  for (;;) {
    const auto rest =
        std::chrono::ceil<std::chrono::milliseconds>(end - net::Now());
    if (rest.count() <= 0) return true;
    pollfd ready = {.fd = signals_.get(), .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, static_cast<int>(rest.count())) <= 0) continue;
    if (const auto taken = TakeSignal(); taken && !OnlyInforms(*taken)) {
      return false;
    }
  }
}

// Waits for an event; a negative timeout means no limit.
//   Cancelled: a signal asks for the end.
//   DeadlineExceeded: the time is over.
absl::StatusOr<AdminProcess::Event> Supervisor::WaitForAdmin(int timeout_ms) {
  for (;;) {
    std::array<pollfd, 2> fds = {pollfd{signals_.get(), POLLIN, 0},
                                 pollfd{admin_.fd(), POLLIN, 0}};
    const auto& [signal_fd, admin_fd] = fds;
    const int ready = poll(fds.data(), fds.size(), timeout_ms);
    if (ready == 0) return absl::DeadlineExceededError("");
    if (ready < 0) continue;
    if (signal_fd.revents != 0) {
      const auto taken = TakeSignal();
      if (taken && !OnlyInforms(*taken)) return absl::CancelledError("");
    }
    if (admin_fd.revents != 0) return admin_.Next();
  }
}

// Ends before there is a device. The administration process ends what is in
// progress.
base::ExitCode Supervisor::Abandon() {
  Log(Severity::kInfo, "ended by a signal before the device '{}' was created",
      options_.name);
  admin_.Abandon();
  abandoned_ = true;
  return base::kExitOk;
}

// Frees the TAP before the process ends, and removes the interface if it was
// created for the device.
base::ExitCode Supervisor::CloseTap(base::ExitCode code) {
  if (abandoned_) return code;
  tap_.clear();
  admin_.CloseTap(saved_.tap_created ? AdminProcess::OnClose::kRemove
                                     : AdminProcess::OnClose::kKeep);
  for (;;) {
    const absl::StatusOr<AdminProcess::Event> event = WaitForAdmin();
    if (absl::IsCancelled(event.status())) {
      Log(Severity::kWarning,
          "ended by a signal before TAP '{}' was {}: that goes on without this "
          "process",
          options_.tap, saved_.tap_created ? "removed" : "closed");
      return code;
    }
    if (!event.ok()) {
      // The process is gone, and its copy of the TAP, too.
      return saved_.tap_created ? base::Fail(base::kExitFailure, event.status())
                                : code;
    }
    if (event->kind != AdminProcess::Kind::kCloseTap) continue;
    return event->status.ok() ? code
                              : base::Fail(base::kExitFailure, event->status);
  }
}

}  // namespace program
