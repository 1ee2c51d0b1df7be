// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_SIGBUS_GUARD_H_
#define VDUSE_NET_VDUSE_SIGBUS_GUARD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace vduse {

// Survives memory of the driver that has no pages behind it: a bounce page
// that was never filled, a truncated memfd, a poisoned page, huge pages that
// have run out. Touching one raises SIGBUS; the handler puts a page of zeros
// there, of the size that the mapping has, marks the mapping and the thread,
// and the access goes on. The thread finds its mark after its step and stops
// the queues concerned.
//
// A SIGBUS anywhere else is a bug of this program and kills it as usual.
class SigbusGuard {
 public:
  struct Slot {
    std::atomic<uintptr_t> start{0};  // 0: free
    std::atomic<size_t> size{0};
    std::atomic<size_t> page_size{0};
    std::atomic<bool> poisoned{false};
  };

  // Installs the handler for the process. Once, before threads start.
  static void Install();

  // Guards [start, start + size), which is made of pages of `page_size` bytes,
  // a power of 2. There is no limit but memory. Any thread.
  static Slot& Register(void* start, size_t size, size_t page_size);
  static void Unregister(Slot& slot);

  // Times the handler has put a page somewhere; cheap to compare.
  static uint64_t poison_count();

  // Whether that was done for this thread since the last call.
  [[nodiscard]] static bool TakePoisoned();
};

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_SIGBUS_GUARD_H_
