// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_RX_STAGING_H_
#define VDUSE_NET_NET_PATH_RX_STAGING_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "net/path/packet_port.h"
#include "net/wire/header.h"

namespace net {

// Memory beside the driver's buffers: a slot for each packet of a batch, and a
// queue of the slots whose packets wait for buffers, in order of arrival. One
// thread.
class RxStaging {
 public:
  // Each slot is larger than any packet. Most pages are never touched, so the
  // kernel does not allocate them.
  static constexpr size_t kSlotBytes = kHeaderBytes + kMaxFrameBytes + 1;

  RxStaging()
      : memory_(
            std::make_unique_for_overwrite<uint8_t[]>(kMaxBatch * kSlotBytes)) {
  }

  // `slot` is below kMaxBatch. A slot that is in the queue must not be reused.
  std::span<uint8_t> Slot(size_t slot) {
    return {memory_.get() + slot * kSlotBytes, kSlotBytes};
  }

  // The packet of `bytes` at the start of `slot` waits.
  void Push(size_t slot, size_t bytes) {
    queue_[end_++] = {.slot = slot, .bytes = bytes};
  }
  // The packet that has waited longest. There must be one.
  std::span<uint8_t> Front() {
    return Slot(queue_[begin_].slot).first(queue_[begin_].bytes);
  }
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

  std::unique_ptr<uint8_t[]> memory_;
  std::array<Entry, kMaxBatch> queue_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_RX_STAGING_H_
