// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_NET_PATH_LINUX_TX_MODEL_H_
#define VDUSE_NET_TESTS_NET_PATH_LINUX_TX_MODEL_H_

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "net/wire/header.h"
#include "tests/support/fake_device.h"
#include "tests/support/fake_driver.h"
#include "vduse/device.h"
#include "vduse/ring_layout.h"

namespace tests {

// How Linux 6.12's driver runs a transmit queue: when it takes back what was
// used, which notification it asks for, when it stops, and what wakes it. On
// real ring memory, and quick: it has one packet, which it sends again and
// again.
//
// One thread; the test calls Interrupt() for each notification.
class LinuxTxModel {
 public:
  // It stops with fewer free descriptors than its largest packet may need.
  static constexpr uint32_t kLargestPacket = 19;

  struct Options {
    uint32_t index = 1;  // of the queue in the device
    uint32_t size = 256;
    uint16_t base = 0;
    bool event_idx = true;
    bool napi = true;          // tx NAPI, as is usual
    uint32_t descriptors = 1;  // of a packet
  };

  LinuxTxModel(FakeDevice& device, DriverMemory& memory, Options options)
      : options_(options),
        last_used_(options.base),
        avail_next_(options.base),
        kicked_at_(options.base) {
    info_.size = options.size;
    info_.desc_addr = memory.Allocate(vduse::DescBytes(options.size));
    info_.driver_addr = memory.Allocate(vduse::AvailBytes(options.size, true));
    info_.device_addr = memory.Allocate(vduse::UsedBytes(options.size, true));
    info_.position = {.avail_index = options.base};
    info_.ready = true;
    desc_ = reinterpret_cast<vduse::Desc*>(memory.At(info_.desc_addr));
    avail_ = reinterpret_cast<uint16_t*>(memory.At(info_.driver_addr));
    used_ = reinterpret_cast<uint16_t*>(memory.At(info_.device_addr));
    packet_ = memory.Allocate(kPacketBytes);
    std::memset(memory.At(packet_), 0, kPacketBytes);
    avail_[vduse::kAvailIdx] = used_[vduse::kUsedIdx] = options.base;
    for (uint32_t i = 0; i < options.size; ++i) {
      free_.push_back(static_cast<uint16_t>(i));
    }
    device.SetQueue(options.index, info_);
    if (options_.napi) {
      DisableNotification();  // as its poll has not been scheduled yet
      AwaitNext();
    }
  }

  const vduse::QueueInfo& info() const { return info_; }
  bool stopped() const { return stopped_; }
  uint64_t stops() const { return stops_; }

  // Sends a packet; `more` come at once. True if the device is to be kicked.
  [[nodiscard]] bool Send(bool more) {
    do {
      if (options_.napi) DisableNotification();
      TakeBack();
    } while (options_.napi && !more && !AwaitMost());
    Offer();
    if (free_.size() < kLargestPacket) Stop();
    return (!more || stopped_) && KickWanted();
  }

  // A notification has come.
  void Interrupt() {
    if (used_idx() == last_used_) return;
    disarmed_ = true;
    DisableNotification();
    if (options_.napi) {
      poll_ = true;
    } else {
      stopped_ = false;
    }
  }

  // What the interrupt has left to do. Harmless without one.
  void Poll() {
    while (poll_) {
      poll_ = false;
      DisableNotification();
      TakeBack();
      if (free_.size() >= kLargestPacket) stopped_ = false;
      AwaitNext();
      if (used_idx() != last_used_) {
        DisableNotification();
        poll_ = true;
      }
    }
  }

 private:
  static constexpr uint32_t kFrameBytes = 68;
  static constexpr uint64_t kPacketBytes = net::kHeaderBytes + kFrameBytes;

  uint16_t used_idx() const { return used_[vduse::kUsedIdx]; }
  uint16_t& used_event() { return avail_[vduse::kAvailRing + options_.size]; }
  uint16_t avail_event() const { return used_[2 + 4ULL * options_.size]; }

  void Stop() {
    stopped_ = true;
    ++stops_;
    if (AwaitMost()) return;
    if (options_.napi) {
      poll_ = true;
      return;
    }
    TakeBack();
    if (free_.size() < kLargestPacket) return;
    stopped_ = false;
    DisableNotification();
  }

  void DisableNotification() {
    if (disabled_) return;
    disabled_ = true;
    // One that has come will not come again by itself.
    if (disarmed_) return;
    if (options_.event_idx) {
      used_event() = 0;
    } else {
      avail_[vduse::kAvailFlags] = vduse::kAvailNoInterrupt;
    }
  }

  void EnableNotification(uint16_t event) {
    disarmed_ = false;
    disabled_ = false;
    avail_[vduse::kAvailFlags] = 0;
    used_event() = event;
  }
  void AwaitNext() { EnableNotification(last_used_); }

  // Awaits three quarters of what is outstanding. False if more was used
  // already.
  bool AwaitMost() {
    const auto outstanding = static_cast<uint16_t>(avail_next_ - last_used_);
    const auto most = static_cast<uint16_t>(outstanding * 3U / 4);
    EnableNotification(static_cast<uint16_t>(last_used_ + most));
    return static_cast<uint16_t>(used_idx() - last_used_) <= most;
  }

  void TakeBack() {
    const auto* ring = reinterpret_cast<const vduse::UsedElem*>(used_ + 2);
    for (; last_used_ != used_idx(); ++last_used_) {
      uint32_t head = ring[last_used_ & (options_.size - 1)].id;
      for (uint32_t i = options_.descriptors; i > 0; --i) {
        free_.push_back(static_cast<uint16_t>(head));
        head = desc_[head].next;
      }
    }
  }

  void Offer() {
    uint64_t at = packet_;
    uint64_t rest = kPacketBytes;
    const uint16_t head = free_.back();
    for (uint32_t i = 1; i <= options_.descriptors; ++i) {
      vduse::Desc& desc = desc_[free_.back()];
      free_.pop_back();
      const bool last = i == options_.descriptors;
      // The header and pieces of 4 bytes.
      const uint64_t bytes = last ? rest : i == 1 ? net::kHeaderBytes : 4;
      desc = {.addr = at,
              .len = static_cast<uint32_t>(bytes),
              .flags = last ? uint16_t{0} : vduse::kDescNext,
              .next = last ? uint16_t{0} : free_.back()};
      at += bytes;
      rest -= bytes;
    }
    avail_[vduse::kAvailRing + (avail_next_ & (options_.size - 1))] = head;
    avail_[vduse::kAvailIdx] = ++avail_next_;
  }

  bool KickWanted() {
    const uint16_t from = std::exchange(kicked_at_, avail_next_);
    if (options_.event_idx) {
      return vduse::PassedEvent(avail_event(), avail_next_, from);
    }
    return (used_[vduse::kUsedFlags] & vduse::kUsedNoNotify) == 0;
  }

  const Options options_;
  vduse::QueueInfo info_;
  vduse::Desc* desc_ = nullptr;
  uint16_t* avail_ = nullptr;
  uint16_t* used_ = nullptr;
  uint64_t packet_ = 0;
  std::vector<uint16_t> free_;
  uint16_t last_used_;
  uint16_t avail_next_;
  uint16_t kicked_at_;
  bool disabled_ = false;
  bool disarmed_ = false;  // a notification came since it was enabled
  bool stopped_ = false;
  bool poll_ = false;
  uint64_t stops_ = 0;
};

}  // namespace tests

#endif  // VDUSE_NET_TESTS_NET_PATH_LINUX_TX_MODEL_H_
