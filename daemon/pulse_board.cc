// SPDX-License-Identifier: Apache-2.0
#include "daemon/pulse_board.h"

#include <errno.h>
#include <sys/mman.h>

#include <new>

namespace program {
namespace {

constexpr size_t kPulses = 1 + net::kMaxQueuePairs;
constexpr size_t kBytes = kPulses * sizeof(net::Pulse);

}  // namespace

absl::StatusOr<std::unique_ptr<PulseBoard>> PulseBoard::Create() {
  void* const memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return absl::ErrnoToStatus(errno, "mmap of shared memory");
  }
  return std::unique_ptr<PulseBoard>(
      new PulseBoard(new (memory) net::Pulse[kPulses]));
}

uint64_t PulseBoard::turns() const {
  uint64_t sum = control().turns();
  for (const net::Pulse& worker : workers()) sum += worker.turns();
  return sum;
}

PulseBoard::~PulseBoard() { munmap(pulses_, kBytes); }

}  // namespace program
