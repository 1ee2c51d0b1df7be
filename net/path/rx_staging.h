// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_RX_STAGING_H_
#define VDUSE_NET_NET_PATH_RX_STAGING_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "net/path/packet_port.h"
#include "net/wire/header.h"

namespace net {

// Memory beside the driver's buffers: a slot for each packet of a batch, and a
// queue of the slots whose packets wait for buffers, in order of arrival. The
// memory is the journal's, so a successor finds the packets. One thread.
class RxStaging {
 public:
  // Each slot is larger than any packet. The kernel allocates only the pages
  // that are touched.
  static constexpr size_t kSlotBytes = kHeaderBytes + kMaxFrameBytes + 1;

  static constexpr size_t kBytes = kMaxBatch * kSlotBytes;

  // `memory` has kBytes and outlives the staging.
  explicit RxStaging(std::span<uint8_t> memory) : memory_(memory) {}

  // `slot` is below kMaxBatch. A slot that is in the queue must not be reused.
  std::span<uint8_t> Slot(size_t slot) {
    return memory_.subspan(slot * kSlotBytes, kSlotBytes);
  }

  // Makes the kernel allocate the pages of the first `bytes` of `slot` now. If
  // it did so while it copies a packet there, and the process were killed, the
  // packet could be lost.
  void Allocate(size_t slot, size_t bytes) {
    size_t& allocated = allocated_[slot];
    if (bytes <= allocated) return;
    const std::span<uint8_t> memory = Slot(slot);
    bytes = std::min(bytes, memory.size());
    for (; allocated < bytes; allocated += kPageBytes) Touch(memory[allocated]);
    Touch(memory[bytes - 1]);
    allocated = bytes;
  }

  // The packet of `bytes` at the start of `slot` waits.
  void Push(size_t slot, size_t bytes) {
    queue_[end_++] = {.slot = slot, .bytes = bytes};
  }
  // The packet that has waited longest. There must be one.
  std::span<uint8_t> Front() {
    return Slot(queue_[begin_].slot).first(queue_[begin_].bytes);
  }
  // Its slot, or kMaxBatch if none waits; and the slot of the one behind it.
  size_t FrontSlot() const { return SlotAt(begin_); }
  size_t NextSlot() const { return SlotAt(begin_ + 1); }
  void Pop() {
    if (++begin_ == end_) Clear();
  }
  void Clear() { begin_ = end_ = 0; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }

 private:
  struct Entry {
    size_t slot;
    size_t bytes;
  };

  static constexpr size_t kPageBytes = 4096;

  static void Touch(volatile uint8_t& byte) { byte = byte; }

  size_t SlotAt(size_t index) const {
    return index < end_ ? queue_[index].slot : kMaxBatch;
  }

  std::span<uint8_t> memory_;
  std::array<size_t, kMaxBatch> allocated_{};
  std::array<Entry, kMaxBatch> queue_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_RX_STAGING_H_
