// SPDX-License-Identifier: Apache-2.0
#include "vduse/sigbus_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>

namespace vduse {
namespace {

constexpr size_t kSlots = 16384;
std::array<SigbusGuard::Slot, kSlots> slots;
std::atomic<uint64_t> poisons{0};
std::atomic<size_t> next_hint{0};

// Async-signal-safe: atomics and mmap only.
void OnSigbus(int, siginfo_t* info, void*) {
  const auto fault = reinterpret_cast<uintptr_t>(info->si_addr);
  for (SigbusGuard::Slot& slot : slots) {
    const uintptr_t start = slot.start.load(std::memory_order_acquire);
    const size_t size = slot.size.load(std::memory_order_relaxed);
    if (start == 0 || fault < start || fault - start >= size) continue;
    const auto page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    void* page = static_cast<uint8_t*>(info->si_addr) - fault % page_size;
    void* placed = mmap(page, page_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (placed == MAP_FAILED) break;
    slot.poisoned.store(true, std::memory_order_relaxed);
    poisons.fetch_add(1, std::memory_order_release);
    return;
  }
  signal(SIGBUS, SIG_DFL);  // the access repeats, and kills
}

}  // namespace

void SigbusGuard::Install() {
  struct sigaction action = {};
  action.sa_sigaction = OnSigbus;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

SigbusGuard::Slot* SigbusGuard::Register(void* start, size_t size) {
  const size_t first = next_hint.fetch_add(1, std::memory_order_relaxed);
  for (size_t i = 0; i < kSlots; ++i) {
    Slot& slot = slots[(first + i) % kSlots];
    if (slot.start.load(std::memory_order_relaxed) != 0) continue;
    uintptr_t free = 0;
    // 1 reserves the slot: no address lies in [1, 1 + 0).
    if (!slot.start.compare_exchange_strong(free, 1)) continue;
    slot.poisoned.store(false, std::memory_order_relaxed);
    slot.size.store(size, std::memory_order_relaxed);
    slot.start.store(reinterpret_cast<uintptr_t>(start),
                     std::memory_order_release);
    return &slot;
  }
  return nullptr;
}

void SigbusGuard::Unregister(Slot& slot) {
  slot.size.store(0, std::memory_order_relaxed);
  slot.start.store(0, std::memory_order_release);
}

uint64_t SigbusGuard::poison_count() {
  return poisons.load(std::memory_order_acquire);
}

bool SigbusGuard::TakePoisoned(Slot& slot) {
  return slot.poisoned.exchange(false, std::memory_order_relaxed);
}

}  // namespace vduse
