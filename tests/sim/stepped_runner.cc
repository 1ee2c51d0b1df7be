// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/stepped_runner.h"

#include <memory>
#include <utility>

#include "base/eventfd.h"

namespace sim {

using net::Direction;

SteppedRunner::SteppedRunner(World& world, vduse::Device& device,
                             const net::Worker::Options& options, Wire& wire)
    : world_(world),
      options_(options),
      wire_(wire),
      pair_(device, {.pair = options.pair,
                     .mtu = options.mtu,
                     .timer_poll = options.timer_poll > Duration::zero(),
                     .journal = options.journal}) {
  wait_.again = true;
}

void SteppedRunner::Call(const std::function<void(net::QueuePair&)>& work) {
  work(pair_);
  wait_.again = true;
}

absl::Status SteppedRunner::SetTap(net::Tap) {
  std::optional<net::UringMemory> memory;
  if (options_.engine == net::Engine::kUring) {
    memory = pair_.journal().NextRing();
    if (!memory) world_.Fail("no memory for an io_uring instance");
  }
  pair_.SetPort(std::make_unique<WirePort>(wire_, memory));
  watches_port_ = true;
  reported_[2] = false;
  wait_.again = true;
  return absl::OkStatus();
}

bool SteppedRunner::HasReason() const {
  if (wait_.again || kicks_[0] > 0 || kicks_[1] > 0) return true;
  if (wait_.deadline && world_.now() >= *wait_.deadline) return true;
  return watches_port_ &&
         (wire_.gone() || (wait_.port_readable && wire_.readable()) ||
          (wait_.port_writable && wire_.writable()));
}

net::Ready SteppedRunner::TakeEvents() {
  net::Ready ready;
  for (const Direction direction : {Direction::kRx, Direction::kTx}) {
    const uint64_t kicks =
        std::exchange(kicks_[static_cast<size_t>(direction)], 0);
    pair_.path(direction).CountKicks(kicks);
    (direction == Direction::kRx ? ready.rx_kick : ready.tx_kick) = kicks > 0;
  }
  if (watches_port_) {
    ready.port_readable = wait_.port_readable && wire_.readable();
    ready.port_writable = wait_.port_writable && wire_.writable();
    ready.port_gone = wire_.gone();
  }
  return ready;
}

void SteppedRunner::Step() {
  net::Ready ready = TakeEvents();
  const bool rx_kick = ready.rx_kick;
  const bool tx_kick = ready.tx_kick;
  if (options_.busy_poll > Duration::zero() && world_.OneIn(4)) {
    ready.polling = true;
    ready.port_readable = ready.rx_kick = ready.tx_kick = true;
  }
  wait_ = pair_.Step(ready, [this] {
    world_.Point();
    world_.Advance(Duration(world_.Below(500)));
    return world_.now();
  });
  if (pair_.port_lost()) watches_port_ = false;
  ReportChanges();
  // A queue that does not run was kicked: it may have become ready late.
  if ((rx_kick && !pair_.rx().running()) ||
      (tx_kick && !pair_.tx().running())) {
    CallControlThread();
  }
}

void SteppedRunner::CallControlThread() {
  wants_attention_ = true;
  base::SignalEventfd(options_.attention);
}

void SteppedRunner::ReportChanges() {
  const std::array<bool, 3> now = {pair_.rx().broken(), pair_.tx().broken(),
                                   pair_.port_lost()};
  if (now[0] || now[1]) world_.Fail("a queue latched");
  if (std::exchange(reported_, now) == now) return;
  CallControlThread();
}

}  // namespace sim
