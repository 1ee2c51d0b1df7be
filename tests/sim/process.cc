// SPDX-License-Identifier: Apache-2.0
//
// The process that serves the device: how it starts, is moved and crashes.
#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "base/eventfd.h"
#include "base/status_text.h"
#include "tests/sim/machine.h"

namespace sim {

using std::chrono::microseconds;

void Machine::CreateDevice() {
  file_ = std::make_unique<DeviceFile>(world_, kernel_);
  const auto persist = [this](const net::DeviceState& state) {
    world_.Point();
    if (world_.dead()) return;
    saved_ = state;
    world_.Point();
  };
  const auto start_runner = [this](vduse::Device& device,
                                   const net::Worker::Options& options)
      -> absl::StatusOr<std::unique_ptr<net::PairRunner>> {
    auto runner = std::make_unique<SteppedRunner>(world_, device, options,
                                                  wires_[options.pair]);
    runners_.push_back(runner.get());
    return runner;
  };
  auto created = net::NetDevice::Create(
      *file_, {.features = settings_.features,
               .queue_pairs = settings_.pairs,
               .mtu = settings_.mtu,
               .engine = settings_.io_uring ? net::Engine::kUring
                                            : net::Engine::kSyscalls,
               .busy_poll = microseconds(settings_.busy_poll ? 50 : 0),
               .timer_poll = microseconds(settings_.timer_poll ? 20 : 0),
               .mac = kMac,
               .journal = {journal_.data(), journal_.bytes()},
               .rx = settings_.rx,
               .tx = settings_.tx,
               .persist = persist,
               .clock =
                   [this] {
                     world_.Point();
                     return world_.now();
                   },
               .start_runner = start_runner});
  if (created.ok()) {
    net_ = std::move(*created);
  } else {
    world_.Fail(base::Text(created.status()));
  }
}

void Machine::StartProcess(bool adopts) {
  world_.Note("process starts; adopts", adopts ? 1 : 0);
  ctrl_kicked_ = attention_ = true;  // look at everything once
  up_since_ = world_.now();
  CreateDevice();
  if (world_.failed()) return;
  RunDevice([&] {
    if (adopts) net_->Resume(saved_);
    (void)net_->Serve(world_.now());
    SetTap();
    net_->SetLink(true);
  });
}

// The process has a TAP, whose place the wires take.
void Machine::SetTap() {
  if (world_.dead()) return;
  std::vector<net::Tap> taps;
  for (Wire& wire : wires_) {
    wire.SetGone(false);
    taps.emplace_back(base::UniqueFd());
  }
  const absl::Status set = net_->SetTap(std::move(taps));
  if (!set.ok()) world_.Fail(base::Text(set));
}

// Lets the process do something, at the end of which it may be dead.
void Machine::RunDevice(absl::FunctionRef<void()> work) {
  work();
  if (world_.dead()) Bury();
}

void Machine::OnPoint() {
  if (world_.dead() || net_ == nullptr) return;
  if (points_left_ > 0 && --points_left_ == 0) {
    world_.Note("CRASH");
    memory_.Save();
    journal_.Save();
    world_.SetDead(true);
    return;
  }
  // Another CPU runs the driver.
  if (world_.OneIn(6)) driver_.Act(load_ != Load::kNone);
}

// Undoes what the process has written since it died.
void Machine::Bury() {
  ++counts_.crashes;
  net_.reset();
  file_.reset();
  runners_.clear();
  memory_.Restore();
  journal_.Restore();
  kernel_.Close();
  for (Wire& wire : wires_) wire.BeginProcess();
  world_.SetDead(false);
  restart_at_ =
      world_.now() + (world_.OneIn(20) ? microseconds(world_.Below(2'000'000))
                                       : microseconds(world_.Below(2'000)));
}

// The device's state goes to another host; the process here ends.
bool Machine::Move() {
  if (net_ == nullptr) return false;
  ++counts_.moves;
  world_.Note("moves");
  const net::DeviceState state = net_->state();
  // It does no harm any more: the device is reset.
  world_.SetDead(true);
  net_.reset();
  file_.reset();
  runners_.clear();
  world_.SetDead(false);
  kernel_.Close();
  kernel_.Clear();
  journal_.Clear();
  // The supervisor there has written the state down before a process serves the
  // device: InitialState() in daemon/device_setup.h.
  saved_ = net::Restored(state);
  CreateDevice();
  const absl::Status restored = net_->Restore(state);
  if (!restored.ok()) world_.Fail(base::Text(restored));
  up_since_ = world_.now();
  net_->SetLink(true);
  SetTap();
  if (world_.dead()) Bury();
  return true;
}

void Machine::OnKick(int fd) {
  if (net_ == nullptr) return;
  if (fd == net_->ctrl_kick_fd()) {
    base::SignalEventfd(fd);
    ctrl_kicked_ = true;
    return;
  }
  const int queue = fd - SteppedRunner::kFirstKickFd;
  runners_.at(static_cast<size_t>(queue) / 2)
      ->Kick(queue % 2 == 0 ? net::Direction::kRx : net::Direction::kTx);
}

bool Machine::ServeHasReason() const {
  if (net_ == nullptr) return false;
  const std::optional<Instant> deadline = net_->deadline();
  return kernel_.HasRequest() || ctrl_kicked_ || attention_ ||
         (deadline && *deadline <= world_.now());
}

void Machine::Serve() {
  ctrl_kicked_ = attention_ = false;
  RunDevice([&] {
    const absl::Status served = net_->Serve(world_.now());
    if (!served.ok()) world_.Fail(base::Text(served));
  });
}

}  // namespace sim
