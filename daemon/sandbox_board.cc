// SPDX-License-Identifier: Apache-2.0
#include "daemon/sandbox_board.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace program {
namespace {

// Of Slot::rest.
constexpr uint64_t kOn = 1;
constexpr uint64_t kNoNewPrivs = 2;
constexpr uint64_t kNoDumps = 4;
constexpr uint64_t kFiltered = 8;
constexpr unsigned kAbiShift = 8;

uint64_t RestOf(const SandboxReport& report) {
  return (report.on ? kOn : 0) | (report.no_new_privs ? kNoNewPrivs : 0) |
         (report.no_dumps ? kNoDumps : 0) | (report.filtered ? kFiltered : 0) |
         static_cast<uint64_t>(report.landlock_abi) << kAbiShift;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SandboxBoard>> SandboxBoard::Create() {
  void* const memory = mmap(nullptr, sizeof(Slots), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return absl::ErrnoToStatus(errno, "mmap of shared memory");
  }
  return std::unique_ptr<SandboxBoard>(new SandboxBoard(new (memory) Slots));
}

SandboxBoard::~SandboxBoard() { munmap(slots_, sizeof(Slots)); }

void SandboxBoard::Show(Place place, const SandboxReport& report) {
  Remove(getpid());
  Slot& slot = (*slots_)[static_cast<size_t>(place)];
  slot.uid = report.uid;
  slot.capabilities = report.capabilities;
  slot.rest = RestOf(report);
  slot.pid = static_cast<uint64_t>(getpid());
}

void SandboxBoard::Remove(pid_t pid) {
  for (Slot& slot : *slots_) {
    auto wanted = static_cast<uint64_t>(pid);
    slot.pid.compare_exchange_strong(wanted, 0);
  }
}

void SandboxBoard::RemoveOthers() {
  for (Slot& slot : *slots_) {
    if (slot.pid != static_cast<uint64_t>(getpid())) slot.pid = 0;
  }
}

std::vector<SandboxBoard::Entry> SandboxBoard::Entries() const {
  std::vector<Entry> entries;
  for (size_t i = 0; i < slots_->size(); ++i) {
    const Slot& slot = (*slots_)[i];
    const auto pid = static_cast<pid_t>(slot.pid.load());
    if (pid == 0) continue;
    const uint64_t rest = slot.rest;
    entries.push_back(
        {.place = static_cast<Place>(i),
         .pid = pid,
         .report = {.on = (rest & kOn) != 0,
                    .uid = static_cast<uid_t>(slot.uid.load()),
                    .capabilities = slot.capabilities,
                    .no_new_privs = (rest & kNoNewPrivs) != 0,
                    .no_dumps = (rest & kNoDumps) != 0,
                    .filtered = (rest & kFiltered) != 0,
                    .landlock_abi = static_cast<int>(rest >> kAbiShift)}});
  }
  return entries;
}

}  // namespace program
