// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SIM_DRIVER_H_
#define VDUSE_NET_TESTS_SIM_DRIVER_H_

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "tests/sim/commands.h"
#include "tests/sim/kernel.h"
#include "tests/sim/linux_rx.h"
#include "tests/sim/linux_tx.h"
#include "tests/sim/settings.h"
#include "tests/sim/shared_memory.h"
#include "tests/sim/wire.h"
#include "tests/sim/world.h"
#include "tests/support/fake_driver.h"

namespace sim {

// Linux's virtio-net driver, with all its queues. It sees only its memory and
// the interrupts.
class Driver {
 public:
  // The memory that a driver needs with these settings, and how much of it the
  // rings take, which come first.
  static uint64_t RingBytes(const Settings& settings);
  static uint64_t MemoryBytes(const Settings& settings);

  Driver(World& world, Kernel& kernel, SharedMemory& memory,
         const Settings& settings, std::deque<Wire>& wires);

  // A new driver: all rings are new. It runs as soon as SetRuns(true) says so.
  void Start();
  // Its CPUs may be stopped.
  void SetRuns(bool runs) { runs_ = runs; }

  // How a virtqueue is set up, at `position`.
  vduse::QueueInfo SetUpOf(uint32_t index, uint16_t position);
  uint32_t queue_count() const { return static_cast<uint32_t>(queues_.size()); }
  // Where the rings of a driver that goes on continue, if the device says
  // nothing.
  uint16_t UsedIndex(uint32_t index) {
    return queues_[index]->ring().used_idx();
  }

  // Whether something is left to do without a new packet or command.
  bool HasWork();
  // Does one thing: handles an interrupt, polls, sends packets or a command.
  // Without `load`, it sends nothing of its own accord.
  void Act(bool load);

  Commands* commands() { return commands_ ? &*commands_ : nullptr; }
  uint32_t active_pairs() const {
    return commands_ ? commands_->active_pairs() : settings_.pairs;
  }
  coalesce::Params Bound(uint32_t queue) const;
  void SetOperator(coalesce::Direction direction,
                   const coalesce::Setting& setting);

  // Whether the device should serve all queues by now.
  void SetServed(bool served) {
    if (commands_) commands_->SetServed(served);
  }
  // Fails the simulation if the device, which serves the driver since
  // `served_since`, is late; see LinuxQueue::CheckOwed().
  void CheckOwed(Instant served_since, bool count);
  // Fails it if something is left that the device should have done by now.
  void CheckIdle();

 private:
  void HandleInterrupt(uint32_t index);
  void HandleConfigInterrupt();
  void ActOnPair(uint32_t pair, bool load);

  World& world_;
  Kernel& kernel_;
  const Settings& settings_;
  std::deque<Wire>& wires_;
  tests::DriverMemory memory_;
  std::optional<Commands> commands_;
  std::deque<LinuxRx> rx_;
  std::deque<LinuxTx> tx_;
  std::vector<LinuxQueue*> queues_;
  // The operator's settings, by direction, for a driver without commands.
  std::array<coalesce::Setting, 2> operator_;
  bool runs_ = false;
  bool must_announce_ = false;
};

}  // namespace sim

#endif  // VDUSE_NET_TESTS_SIM_DRIVER_H_
