// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_SANDBOX_BOARD_H_
#define VDUSE_NET_DAEMON_SANDBOX_BOARD_H_

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"

namespace program {

// What is in force in a process, as the kernel has confirmed it. Plain bytes: a
// process may send it to another.
struct SandboxReport {
  bool on = false;
  uid_t uid = 0;
  uint64_t capabilities = 0;  // bit N: number N, permitted or effective
  bool no_new_privs = false;
  bool no_dumps = false;
  bool filtered = false;  // system calls without a rule kill the process
  int landlock_abi = 0;   // 0 if Landlock is not in force

  bool operator==(const SandboxReport&) const = default;
};

// Where each process of a device shows its report, in memory that all of them
// share: the process that serves the device answers the operator, and can look
// at no other process. It may be wrong about the others if an attacker controls
// one of them.
//
// Any thread of any process; reading may see values of different moments.
class SandboxBoard {
 public:
  enum class Place : size_t { kSupervisor, kDevice, kStandby, kAdministration };

  struct Entry {
    Place place{};
    pid_t pid = 0;
    SandboxReport report;
  };

  static absl::StatusOr<std::unique_ptr<SandboxBoard>> Create();
  SandboxBoard(const SandboxBoard&) = delete;
  SandboxBoard& operator=(const SandboxBoard&) = delete;
  ~SandboxBoard();

  // The calling process is at `place` from now on, and at no other.
  void Show(Place place, const SandboxReport& report);
  // The process has ended.
  void Remove(pid_t pid);
  // All processes but the calling one have ended.
  void RemoveOthers();

  // Those that have shown a report, in the order of their places.
  std::vector<Entry> Entries() const;

 private:
  struct Slot {
    std::atomic<uint64_t> pid = 0;  // 0: nobody is here
    std::atomic<uint64_t> uid = 0;
    std::atomic<uint64_t> capabilities = 0;
    std::atomic<uint64_t> rest = 0;  // flags, and the ABI above them
  };
  using Slots = std::array<Slot, 4>;

  explicit SandboxBoard(Slots* slots) : slots_(slots) {}

  Slots* slots_;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_SANDBOX_BOARD_H_
