// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SIM_LINUX_TX_H_
#define VDUSE_NET_TESTS_SIM_LINUX_TX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "tests/sim/linux_queue.h"
#include "tests/sim/wire.h"

namespace sim {

// How Linux's driver runs a transmit queue: when it takes back what was used,
// which notification it asks for, when it stops, and what wakes it.
class LinuxTx {
 public:
  // It stops with fewer free descriptors than its largest packet may need.
  static constexpr uint32_t kMostDescriptors = 19;

  struct Options {
    LinuxQueue::Options queue;
    bool napi = true;  // tx NAPI, as is usual
    bool indirect = true;
    size_t largest_packet = 0;  // with its header
  };

  LinuxTx(World& world, Kernel& kernel, tests::DriverMemory& memory, Wire& wire,
          const Options& options);

  // Call it once, before Start().
  void AllocateBuffers();

  LinuxQueue& queue() { return queue_; }
  bool stopped() const { return stopped_; }

  // The rings are new, and empty.
  void Start(uint16_t base);

  // Sends a packet, unless the queue is stopped; `more` come at once.
  void Send(bool more);
  void Interrupt();
  bool polls() const { return poll_; }
  void Poll();

  // Everything that was offered should have been used by now.
  void CheckUsed();

 private:
  struct Offered {
    uint64_t number;
    uint16_t head;
    uint32_t descriptors;
    uint64_t buffer;
  };

  void Offer();
  void TakeBack();
  void Stop();

  World& world_;
  LinuxQueue queue_;
  Wire& wire_;
  const Options options_;
  tests::DriverMemory& memory_;
  std::vector<uint64_t> buffers_;       // all
  std::vector<uint64_t> free_buffers_;  // one for each packet
  std::deque<Offered> offered_;
  uint32_t free_ = 0;  // descriptors
  uint64_t next_ = 0;  // number of the next packet
  bool stopped_ = false;
  bool poll_ = false;
};

}  // namespace sim

#endif  // VDUSE_NET_TESTS_SIM_LINUX_TX_H_
