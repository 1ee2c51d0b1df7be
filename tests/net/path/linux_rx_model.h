// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_NET_PATH_LINUX_RX_MODEL_H_
#define VDUSE_NET_TESTS_NET_PATH_LINUX_RX_MODEL_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "tests/support/fake_device.h"
#include "tests/support/fake_driver.h"

namespace tests {

// How Linux 6.12's driver runs a receive queue with mergeable buffers: buffers
// of one descriptor, taken by a poll of at most 64 packets, and replaced only
// when more than half of that, or of the ring, is missing.
//
// One thread; the test calls Interrupt() for each notification.
class LinuxRxModel {
 public:
  static constexpr uint32_t kBufferBytes = 1536;
  static constexpr uint32_t kPollPackets = 64;

  LinuxRxModel(FakeDevice& device, DriverMemory& memory,
               DriverQueue::Options options)
      : queue_(device, memory, options) {
    Fill();
    queue_.SetUsedEvent(queue_.used_idx());
  }

  DriverQueue& queue() { return queue_; }
  // Lengths of the packets that came, with their headers.
  const std::vector<size_t>& packets() const { return packets_; }

  // A notification has come. True if the device is to be kicked.
  [[nodiscard]] bool Interrupt() {
    bool kick = false;
    queue_.SetNoInterrupt(true);
    while (TakePackets() == kPollPackets) kick |= Refill();
    kick |= Refill();
    queue_.SetNoInterrupt(false);
    // Nothing comes between this and the last look: one thread.
    queue_.SetUsedEvent(queue_.used_idx());
    return kick;
  }

 private:
  uint32_t TakePackets() {
    uint32_t taken = 0;
    for (; taken < kPollPackets; ++taken) {
      std::optional<UsedEntry> used = queue_.TakeUsed();
      if (!used) break;
      if (used->bytes.size() < 12) {
        ADD_FAILURE() << "a packet of " << used->bytes.size() << " bytes";
        continue;
      }
      size_t bytes = used->bytes.size();
      for (int more = used->bytes[10] + 256 * used->bytes[11]; more > 1;
           --more) {
        used = queue_.TakeUsed();
        if (!used) {
          ADD_FAILURE() << more - 1 << " buffers of a packet are missing";
          break;
        }
        bytes += used->bytes.size();
      }
      packets_.push_back(bytes);
    }
    return taken;
  }

  bool Refill() {
    const uint32_t missing = queue_.size() - queue_.outstanding();
    if (missing <= std::min(kPollPackets, queue_.size()) / 2) return false;
    Fill();
    return queue_.KickIfWanted();
  }

  void Fill() {
    while (queue_.outstanding() < queue_.size()) {
      queue_.Chain().Writable(kBufferBytes).Offer();
    }
  }

  DriverQueue queue_;
  std::vector<size_t> packets_;
};

}  // namespace tests

#endif  // VDUSE_NET_TESTS_NET_PATH_LINUX_RX_MODEL_H_
