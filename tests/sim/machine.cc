// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/machine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "net/wire/config_space.h"
#include "net/wire/features.h"

namespace sim {
namespace {

using coalesce::Direction;
using std::chrono::microseconds;
using std::chrono::milliseconds;

// The longest time after which something may happen by itself: a second of
// coalescing, and retries.
constexpr Duration kSettled = milliseconds(1500);
// How long a process may take to serve a driver that it finds.
constexpr Duration kAdopts = milliseconds(40);
constexpr uint64_t kMostDrainSteps = 3'000'000;

std::deque<Wire> MakeWires(World& world, const Settings& settings) {
  std::deque<Wire> wires;
  for (uint32_t pair = 0; pair < settings.pairs; ++pair) {
    wires.emplace_back(
        world, pair,
        Wire::Options{.at_once = settings.io_uring ? net::kMaxBatch : 8,
                      .crash_cost = settings.io_uring ? kUringCrashCost
                                                      : kSyscallsCrashCost,
                      .largest_packet = 12U + 14 + settings.mtu});
  }
  return wires;
}

}  // namespace

Machine::Machine(World& world)
    : world_(world),
      settings_(world),
      memory_(Driver::MemoryBytes(settings_)),
      journal_(net::NetDevice::JournalBytes(settings_.pairs)),
      kernel_(world, memory_,
              2 * settings_.pairs +
                  (net::Has(settings_.features, net::kFeatureCtrlVq) ? 1 : 0),
              Driver::RingBytes(settings_)),
      wires_(MakeWires(world, settings_)),
      driver_(world, kernel_, memory_, settings_, wires_),
      lifecycle_(world, kernel_, driver_, settings_, wires_) {
  kernel_.OnKick([this](int fd) { OnKick(fd); });
  lifecycle_.OnMove([this] { return Move(); });
  world_.OnPoint([this] { OnPoint(); });
  StartProcess(false);
}

Machine::~Machine() { world_.OnPoint({}); }

Machine::Counts Machine::counts() const {
  Counts counts = counts_;
  for (const Wire& wire : wires_) {
    counts.received += wire.delivered();
    counts.sent += wire.transmitted();
  }
  return counts;
}

void Machine::Step() {
  world_.CountStep();
  world_.Advance(Duration(world_.Below(400)));
  kernel_.OnTimer();
  if (net_ == nullptr && world_.now() >= restart_at_) StartProcess(true);
  Turn();
  Check();
}

// One of those that may do something.
void Machine::Turn() {
  switch (world_.Below(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      RunnerTurn();
      return;
    case 5:
    case 6:
      if (ServeHasReason()) Serve();
      return;
    case 7:
    case 8:
    case 9:
    case 10:
      driver_.Act(load_ != Load::kNone);
      return;
    case 11:
      if (load_ != Load::kNone) NetworkTurn();
      return;
    case 12:
      lifecycle_.Step();
      return;
    case 13:
      if (!draining_) TroubleTurn();
      return;
    default:
      if (!HasReason()) Idle();
  }
}

void Machine::RunnerTurn() {
  if (net_ == nullptr) return;
  SteppedRunner* const runner = runners_[world_.Below(runners_.size())];
  if (!runner->HasReason()) return;
  RunDevice([&] {
    runner->Step();
    if (!world_.dead()) attention_ = runner->TakeAttention() || attention_;
  });
}

void Machine::NetworkTurn() {
  Wire& wire = wires_[world_.Below(driver_.active_pairs())];
  const uint64_t most = load_ == Load::kHeavy ? 60 : 2;
  if (wire.queued() > 500) return;
  for (uint64_t i = world_.Below(most + 1); i > 0; --i) {
    wire.Arrive(world_.OneIn(10));
  }
}

void Machine::TroubleTurn() {
  switch (world_.Below(256)) {
    case 0:
      lifecycle_.Plan();
      return;
    case 1:
    case 2:
    case 3:
    case 4:
      load_ = static_cast<Load>(world_.Below(3));
      return;
    case 5:
    case 6:
      points_left_ = world_.Between(1, 200);
      return;
    case 7:
      for (Wire& wire : wires_) {
        wire.SetTrouble(world_.OneIn(2) ? 0 : world_.Between(10, 300));
      }
      return;
    case 8:
      wires_[world_.Below(wires_.size())].Block(
          microseconds(world_.Below(20'000)));
      return;
    case 9:
      OperatorTurn();
      return;
    case 10:
      TapTurn();
      return;
    default:
      if (!kernel_.driver_ok()) lifecycle_.Plan();
  }
}

void Machine::OperatorTurn() {
  if (net_ == nullptr) return;
  const Direction direction = world_.OneIn(2) ? Direction::kRx : Direction::kTx;
  const coalesce::Setting setting = RandomCoalescing(world_);
  (direction == Direction::kRx ? settings_.rx : settings_.tx) = setting;
  driver_.SetOperator(direction, setting);
  RunDevice([&] { net_->SetOperatorCoalescing(direction, setting); });
}

// The TAP is deleted; or there is a new one.
void Machine::TapTurn() {
  if (!wires_.front().gone()) {
    for (Wire& wire : wires_) wire.SetGone(true);
  } else if (net_ != nullptr) {
    RunDevice([this] { SetTap(); });
  }
}

bool Machine::HasReason() {
  if (ServeHasReason() || driver_.HasWork()) return true;
  return net_ != nullptr && std::any_of(runners_.begin(), runners_.end(),
                                        [](const SteppedRunner* runner) {
                                          return runner->HasReason();
                                        });
}

std::optional<Instant> Machine::NextDeadline() const {
  using net::Earlier;
  std::optional<Instant> next = kernel_.deadline();
  next = Earlier(next, lifecycle_.deadline());
  for (const Wire& wire : wires_) next = Earlier(next, wire.deadline());
  if (net_ == nullptr) return Earlier(next, restart_at_);
  for (const SteppedRunner* runner : runners_) {
    next = Earlier(next, runner->deadline());
  }
  return Earlier(next, net_->deadline());
}

// Nobody has anything to do before the next deadline.
void Machine::Idle() {
  const std::optional<Instant> next = NextDeadline();
  const Instant chance = world_.now() + microseconds(world_.Below(2'000));
  if (load_ == Load::kNone && next) {
    world_.AdvanceTo(*next);
  } else {
    world_.AdvanceTo(next ? std::min(*next, chance) : chance);
  }
}

void Machine::Check() {
  if (testing::Test::HasFailure()) world_.Fail("the driver's rings are wrong");
  const std::optional<Instant> begins = lifecycle_.served_since();
  const bool served = net_ != nullptr && begins &&
                      world_.now() >= std::max(*begins, up_since_ + kAdopts);
  driver_.SetServed(served);
  if (served) driver_.CheckOwed(std::max(*begins, up_since_ + kAdopts), true);
}

void Machine::Drain() {
  ++counts_.drains;
  world_.Note("drains");
  draining_ = true;
  load_ = Load::kNone;
  points_left_ = 0;
  for (Wire& wire : wires_) wire.SetTrouble(0);
  if (wires_.front().gone()) TapTurn();
  Instant idle_since = world_.now();
  for (uint64_t steps = 0; !world_.failed(); ++steps) {
    if (!kernel_.driver_ok()) lifecycle_.Plan();
    // The driver may have work all the while, so time would pass slowly.
    if (net_ == nullptr) world_.AdvanceTo(std::max(restart_at_, world_.now()));
    if (net_ == nullptr || HasReason() || lifecycle_.busy() ||
        !lifecycle_.served_since()) {
      idle_since = world_.now();
    }
    const std::optional<Instant> next = NextDeadline();
    if (!HasReason() && world_.now() - idle_since >= kSettled) break;
    if (net_ != nullptr && !HasReason() && !lifecycle_.busy() && !next) break;
    if (steps > kMostDrainSteps) world_.Fail("it never comes to rest");
    Step();
  }
  if (!world_.failed()) driver_.CheckIdle();
  const uint8_t status = kernel_.config()[offsetof(net::ConfigSpace, status)];
  if (status != net::kStatusLinkUp) {
    world_.Fail(fmt::format("the link's status is {}", status));
  }
  draining_ = false;
  load_ = Load::kLight;
}

}  // namespace sim
