// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/linux_rx.h"

#include <algorithm>
#include <utility>

#include "net/wire/header.h"

namespace sim {

using tests::UsedEntry;

void LinuxRx::Start(uint16_t base) {
  queue_.Restart(base);
  Fill();
  poll_ = !queue_.AwaitNext();
}

void LinuxRx::Interrupt() { poll_ = queue_.Interrupt() || poll_; }

void LinuxRx::Poll() {
  const uint32_t taken = TakePackets();
  Refill();
  if (taken == kPollPackets) return;
  poll_ = false;
  if (queue_.AwaitNext()) return;
  queue_.DisableNotification();
  poll_ = true;
}

uint32_t LinuxRx::TakePackets() {
  uint32_t taken = 0;
  for (; taken < kPollPackets; ++taken) {
    std::optional<UsedEntry> used = queue_.Take();
    if (!used) break;
    packet_ = std::move(used->bytes);
    if (packet_.size() < net::kHeaderBytes) {
      world_.Fail("a receive buffer came back without a packet");
      break;
    }
    const int buffers = packet_[10] + 256 * packet_[11];
    for (int more = buffers; more > 1; --more) {
      used = queue_.Take();
      if (!used) {
        world_.Fail("buffers of a received packet are missing");
        break;
      }
      packet_.insert(packet_.end(), used->bytes.begin(), used->bytes.end());
    }
    wire_.Received(packet_);
  }
  if (taken > 0) world_.Note("driver received", queue_.index(), taken);
  return taken;
}

void LinuxRx::Refill() {
  const uint32_t missing = queue_.size() - queue_.ring().outstanding();
  if (missing <= std::min(kPollPackets, queue_.size()) / 2) return;
  Fill();
  queue_.ring().KickIfWanted();
}

void LinuxRx::Fill() {
  while (queue_.ring().outstanding() < queue_.size()) {
    queue_.ring().Chain().Writable(kBufferBytes).Offer();
    queue_.CountOffered();
  }
}

}  // namespace sim
