// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_SIGBUS_GUARD_H_
#define VDUSE_NET_VDUSE_SIGBUS_GUARD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace vduse {

// Survives driver memory that has no pages behind it: a bounce page that was
// never filled, a truncated memfd, a poisoned page, or huge pages that have run
// out. Accessing such a page raises SIGBUS. The handler puts zeroed memory of
// the mapping's page size there and marks the mapping and the thread, and the
// access continues. After its step the thread finds its mark and stops the
// queues concerned.
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

  // Installs the handler for the process. Call once, before starting threads.
  static void Install();

  // Guards [start, start + size), which consists of pages of `page_size` bytes,
  // a power of 2. Only memory limits the number of slots. Any thread.
  static Slot& Register(void* start, size_t size, size_t page_size);
  static void Unregister(Slot& slot);

  // How often the handler has replaced a page; cheap to compare.
  static uint64_t poison_count();

  // Whether the handler replaced a page for this thread since the last call.
  [[nodiscard]] static bool TakePoisoned();
};

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_SIGBUS_GUARD_H_
