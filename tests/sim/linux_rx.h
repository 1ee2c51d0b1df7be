// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SIM_LINUX_RX_H_
#define VDUSE_NET_TESTS_SIM_LINUX_RX_H_

#include <cstdint>
#include <vector>

#include "tests/sim/linux_queue.h"
#include "tests/sim/wire.h"

namespace sim {

// How Linux's driver runs a receive queue: buffers of one descriptor, taken by
// a poll of at most 64 packets, and replaced only when more than half of that,
// or of the ring, is missing.
class LinuxRx {
 public:
  static constexpr uint32_t kBufferBytes = 1536;
  static constexpr uint32_t kPollPackets = 64;

  LinuxRx(World& world, Kernel& kernel, tests::DriverMemory& memory, Wire& wire,
          const LinuxQueue::Options& options)
      : world_(world), queue_(world, kernel, memory, options), wire_(wire) {}

  LinuxQueue& queue() { return queue_; }

  // The rings are new, and full of buffers.
  void Start(uint16_t base);

  void Interrupt();
  bool polls() const { return poll_; }
  // What an interrupt has left to do.
  void Poll();

 private:
  uint32_t TakePackets();
  void Refill();
  void Fill();

  World& world_;
  LinuxQueue queue_;
  Wire& wire_;
  bool poll_ = false;
  std::vector<uint8_t> packet_;
};

}  // namespace sim

#endif  // VDUSE_NET_TESTS_SIM_LINUX_RX_H_
