// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SIM_LINUX_QUEUE_H_
#define VDUSE_NET_TESTS_SIM_LINUX_QUEUE_H_

#include <cstdint>
#include <optional>

#include "coalesce/coalescer.h"
#include "tests/sim/kernel.h"
#include "tests/sim/world.h"
#include "tests/support/fake_driver.h"

namespace sim {

// How Linux's driver uses a virtqueue: which notification it waits for (the
// virtqueue_*_cb functions), and whether the device owes one.
class LinuxQueue {
 public:
  struct Options {
    uint32_t index = 0;
    uint32_t size = 256;
    bool event_idx = false;
  };

  LinuxQueue(World& world, Kernel& kernel, tests::DriverMemory& memory,
             const Options& options);

  uint32_t index() const { return options_.index; }
  uint32_t size() const { return options_.size; }
  tests::DriverQueue& ring() { return ring_; }

  // Empties the rings, which begin at `base`.
  void Restart(uint16_t base);

  // Counts a chain that the ring was offered.
  void CountOffered() { ++offered_; }
  // The next used entry.
  std::optional<tests::UsedEntry> Take();
  bool has_used() { return ring_.used_idx() != last_used_; }

  // An interrupt came. False if the driver has nothing to do; else it waits for
  // no notification from now on.
  [[nodiscard]] bool Interrupt();
  void DisableNotification();
  // Awaits a notification for the next used entry, or when three quarters of
  // what is outstanding is used. False if that has happened already.
  [[nodiscard]] bool AwaitNext();
  [[nodiscard]] bool AwaitMost();

  // Fails the simulation if the device has owed a notification for too long: it
  // should serve the queue since `served_since`, and `bound` is in force. With
  // `count`, also if too many packets wait, one in each chain.
  void CheckOwed(const coalesce::Params& bound, Instant served_since,
                 bool count);

 private:
  void EnableNotification(uint16_t event);
  // The completed chains that the driver wants to know of and has not been
  // notified of.
  uint16_t Unnotified();

  World& world_;
  Kernel& kernel_;
  const Options options_;
  tests::DriverQueue ring_;
  uint16_t last_used_ = 0;
  uint16_t offered_ = 0;
  bool disabled_ = true;
  bool disarmed_ = false;  // a notification came since it was enabled
  uint16_t event_ = 0;
  std::optional<Instant> owed_since_;
};

}  // namespace sim

#endif  // VDUSE_NET_TESTS_SIM_LINUX_QUEUE_H_
