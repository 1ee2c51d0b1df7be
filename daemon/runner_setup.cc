// SPDX-License-Identifier: Apache-2.0
//
// How a device comes: made, or adopted from a process that was killed; and how
// it goes.
#include <fmt/format.h>

#include <utility>

#include "base/log.h"
#include "base/status_text.h"
#include "daemon/device_setup.h"
#include "daemon/runner.h"
#include "net/features.h"

namespace program {
using base::Log;
using base::Severity;

std::optional<ExitCode> Runner::Open() {
  auto existing = AdoptNetDevice(options_.name);
  if (absl::IsNotFound(existing.status())) return Create();
  if (!existing.ok()) return Fail(kExitFailure, existing.status());
  Adopt(std::move(*existing));
  return std::nullopt;
}

// Whoever had the device before may have ended, and removed its state, after
// this process has opened it.
void Runner::RenewState() {
  const absl::Status status = state_.Reopen();
  if (!status.ok()) Log(Severity::kWarning, "{}", base::Text(status));
}

void Runner::Adopt(std::unique_ptr<vduse::KernelDevice> device) {
  adopted_ = true;
  device_ = std::move(device);
  RenewState();
  predecessor_ = state_.Read();
  const bool has_control = device_->queue_count() % 2 == 1;
  saved_.queue_pairs = device_->queue_count() / 2;
  const uint64_t all = FeaturesFor(saved_.queue_pairs);
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
}

// A new device: first the TAP, while no lock can depend on us.
std::optional<ExitCode> Runner::Create() {
  absl::StatusOr<NewDevice> wanted = PlanDevice(options_);
  if (!wanted.ok()) return Fail(kExitFailure, wanted.status());
  saved_.queue_pairs = wanted->queue_pairs;
  OpenTap();
  absl::StatusOr<AdminProcess::Event> tap = admin_.Next();
  if (!tap.ok()) return Fail(kExitFailure, tap.status());
  // It may have been made before something failed.
  saved_.tap_created = tap->tap_created;
  if (!tap->status.ok()) return Fail(kExitFailure, tap->status);
  if (options_.engine == net::Engine::kUring) {
    const auto uring = net::Uring::Create(tap->tap.front().fd());
    if (!uring.ok()) {
      return Fail(kExitHost, absl::UnavailableError(fmt::format(
                                 "--engine io_uring: {}; leave it out",
                                 base::Text(uring.status()))));
    }
  }
  wanted->uso = tap->tap_knows_uso;
  early_tap_.emplace(std::move(*tap));

  absl::StatusOr<vduse::ControlDevice> control = vduse::ControlDevice::Open();
  if (!control.ok()) return Fail(kExitHost, control.status());
  absl::StatusOr<CreatedDevice> created = CreateNetDevice(*control, *wanted);
  if (!created.ok()) return Fail(kExitHost, created.status());
  device_ = std::move(created->device);
  RenewState();
  saved_.features = created->features;
  saved_.queue_pairs = created->queue_pairs;
  restored_ = wanted->restored;
  saved_.mac = wanted->config.mac;
  saved_.mtu = wanted->config.mtu;
  saved_.queue_size = wanted->queue_size;
  Log(Severity::kInfo, "device '{}' created: MAC {}, MTU {}, features {}",
      options_.name, FormatMac(saved_.mac), saved_.mtu,
      net::FeatureNames(saved_.features));
  if (!net::Has(saved_.features, net::kFeatureCtrlVq)) {
    Log(Severity::kWarning, "no control queue{}: {}",
        wanted->queue_pairs > 1 ? ", and so one queue pair" : "",
        kNoControlQueueText);
  }
  return std::nullopt;
}

std::optional<ExitCode> Runner::BuildDevice() {
  net::NetDevice::Options options;
  options.features = saved_.features;
  options.queue_pairs = saved_.queue_pairs;
  options.cpus = options_.cpus;
  options.mtu = saved_.mtu;
  options.engine = options_.engine;
  options.busy_poll = std::chrono::microseconds(options_.busy_poll_usecs);
  options.timer_poll = std::chrono::microseconds(options_.timer_poll_usecs);
  options.mac = saved_.mac;
  // What the operator has said since is newer than the command line.
  if (predecessor_) {
    saved_.operator_rx = predecessor_->operator_rx;
    saved_.operator_tx = predecessor_->operator_tx;
  }
  options.rx = saved_.operator_rx.value_or(options_.rx);
  options.tx = saved_.operator_tx.value_or(options_.tx);
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
    OpenTap();
  } else {
    if (restored_) {
      const absl::Status fits = net_->Restore(*restored_);
      if (!fits.ok()) {
        return Fail(kExitFailure, absl::InvalidArgumentError(fmt::format(
                                      "--restore {}: {}", options_.restore,
                                      base::Text(fits))));
      }
    }
    OnTap(std::move(*early_tap_));
    early_tap_.reset();
  }
  Save();
  ListenToOperator();
  if (options_.attach) admin_.Attach(options_.name);
  return std::nullopt;
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
  // Before somebody else can make a device of this name.
  operator_socket_.reset();
  state_.Remove();
  absl::StatusOr<vduse::ControlDevice> control = vduse::ControlDevice::Open();
  const absl::Status destroyed =
      control.ok() ? control->Destroy(options_.name) : control.status();
  if (!destroyed.ok()) {
    RenewState();
    Save();
    return Fail(kExitFailure, destroyed);
  }
  Log(Severity::kInfo, "device '{}' destroyed", options_.name);
  return CloseTap(code);
}

// The TAP is free when the process ends; gone, if it was made for the device.
ExitCode Runner::CloseTap(ExitCode code) {
  early_tap_.reset();
  tap_copies_.clear();
  admin_.CloseTap(saved_.tap_created);
  for (;;) {
    const absl::StatusOr<AdminProcess::Event> event = admin_.Next();
    if (!event.ok()) {
      // So has its copy of the TAP.
      return saved_.tap_created ? Fail(kExitFailure, event.status()) : code;
    }
    if (event->kind != AdminProcess::Kind::kCloseTap) continue;
    return event->status.ok() ? code : Fail(kExitFailure, event->status);
  }
}

}  // namespace program
