// SPDX-License-Identifier: Apache-2.0
#include "vduse/sigbus_guard.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include <array>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"

namespace vduse {
namespace {

// Slots are kept in chunks, each twice as large as the one before. Chunks are
// never freed, so the handler can walk them at any time.
constexpr size_t kFirstChunk = 1024;
constexpr size_t kChunks = 32;
std::array<std::atomic<SigbusGuard::Slot*>, kChunks> chunks;

std::atomic<uint64_t> poisons{0};
thread_local std::atomic<bool> poisoned_here{false};

// The handler uses neither the mutex nor what it guards.
struct FreeSlots {
  base::Mutex mutex;
  std::vector<SigbusGuard::Slot*> slots ABSL_GUARDED_BY(mutex);
  size_t chunks_used ABSL_GUARDED_BY(mutex) = 0;
};
FreeSlots& Free() {
  static auto* free = new FreeSlots;  // outlives every thread
  return *free;
}

// The size of the page at `fault` if `slot` guards it, or 0. Another thread may
// change a slot meanwhile, but not the slot that guards the mapping in which
// this thread faults.
size_t PageAt(const SigbusGuard::Slot& slot, uintptr_t fault) {
  const uintptr_t start = slot.start.load(std::memory_order_acquire);
  if (start == 0 || fault < start) return 0;
  const size_t size = slot.size.load(std::memory_order_acquire);
  const size_t page_size = slot.page_size.load(std::memory_order_acquire);
  if (fault - start >= size) return 0;
  return slot.start.load(std::memory_order_acquire) == start ? page_size : 0;
}

// Replaces the page around `address` by zeroed memory of the same size. It uses
// normal pages even for a huge page: huge pages may have run out.
bool PutPage(void* address, size_t page_size) {
  const auto offset = reinterpret_cast<uintptr_t>(address) & (page_size - 1);
  void* page = static_cast<char*>(address) - offset;
  void* placed =
      mmap(page, page_size, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  if (placed == MAP_FAILED) return false;
  madvise(page, page_size, MADV_DONTDUMP);
  madvise(page, page_size, MADV_DONTFORK);
  return true;
}

// Async-signal-safe: atomics and system calls only.
void OnSigbus(int, siginfo_t* info, void*) {
  const int saved_errno = errno;
  const auto fault = reinterpret_cast<uintptr_t>(info->si_addr);
  for (size_t i = 0; i < kChunks; ++i) {
    SigbusGuard::Slot* chunk = chunks[i].load(std::memory_order_acquire);
    if (chunk == nullptr) break;
    for (size_t j = 0; j < kFirstChunk << i; ++j) {
      const size_t page_size = PageAt(chunk[j], fault);
      if (page_size == 0) continue;
      if (!PutPage(info->si_addr, page_size)) break;
      chunk[j].poisoned.store(true, std::memory_order_relaxed);
      poisoned_here.store(true, std::memory_order_relaxed);
      poisons.fetch_add(1, std::memory_order_release);
      errno = saved_errno;
      return;
    }
  }
  signal(SIGBUS, SIG_DFL);  // the access is repeated and kills the process
}

}  // namespace

void SigbusGuard::Install() {
  struct sigaction action = {};
  action.sa_sigaction = OnSigbus;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

SigbusGuard::Slot& SigbusGuard::Register(void* start, size_t size,
                                         size_t page_size) {
  FreeSlots& free = Free();
  const base::MutexLock lock(free.mutex);
  if (free.slots.empty()) {
    const size_t count = kFirstChunk << free.chunks_used;
    auto* chunk = new Slot[count];
    for (size_t i = count; i > 0; --i) free.slots.push_back(&chunk[i - 1]);
    chunks.at(free.chunks_used++).store(chunk, std::memory_order_release);
  }
  Slot& slot = *free.slots.back();
  free.slots.pop_back();
  slot.poisoned.store(false, std::memory_order_relaxed);
  slot.page_size.store(page_size, std::memory_order_relaxed);
  slot.size.store(size, std::memory_order_release);
  slot.start.store(reinterpret_cast<uintptr_t>(start),
                   std::memory_order_release);
  return slot;
}

void SigbusGuard::Unregister(Slot& slot) {
  slot.start.store(0, std::memory_order_release);
  slot.size.store(0, std::memory_order_release);
  FreeSlots& free = Free();
  const base::MutexLock lock(free.mutex);
  free.slots.push_back(&slot);
}

uint64_t SigbusGuard::poison_count() {
  return poisons.load(std::memory_order_acquire);
}

bool SigbusGuard::TakePoisoned() {
  return poisoned_here.exchange(false, std::memory_order_relaxed);
}

}  // namespace vduse
