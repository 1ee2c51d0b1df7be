// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_OPTIONS_H_
#define VDUSE_NET_DAEMON_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coalesce/coalescer.h"
#include "daemon/sandbox.h"
#include "net/path/tap.h"
#include "net/wire/config_space.h"

namespace program {

inline constexpr uint16_t kDefaultMtu = 1500;
inline constexpr uint16_t kDefaultQueueSize = 256;
// A larger value is probably in the wrong unit.
inline constexpr uint32_t kMaxBusyPollUsecs = 10'000;
// Sleeps end some 10 to 50 microseconds late, so polling for longer than this
// gains nothing.
inline constexpr uint32_t kMaxTimerPollUsecs = 1000;
// Within this time, processes that run on a busy host make progress.
inline constexpr uint32_t kDefaultHangMsecs = 200;
inline constexpr uint32_t kLeastHangMsecs = 100;
inline constexpr uint32_t kMostHangMsecs = 60'000;
inline constexpr char kDefaultStateDir[] = "/run/vduse-net";

// What happens to the device when its TAP is deleted.
enum class TapLost {
  kReopen,  // wait, with the link down, for a TAP of the same name
  kExit,    // remove the device and end the process
};

// The command line of `vduse-net run`.
struct RunOptions {
  std::string name;  // accepted by CheckDeviceName()
  std::string tap;
  TapLost tap_lost = TapLost::kReopen;
  std::optional<net::MacAddress> mac;  // random if absent
  std::optional<uint16_t> mtu;         // 1500 if absent
  std::optional<uint16_t> queue_size;  // kDefaultQueueSize if absent
  std::optional<uint32_t> speed;       // Mbit/s; the TAP's if absent
  std::string profile;                 // empty: all that the kernel allows
  uint64_t without = 0;                // features not to be offered
  std::string restore;                 // file with a device's state, or empty
  bool attach = false;
  std::optional<uint32_t> queue_pairs;  // 1 if absent
  std::vector<int> cpus;                // for the workers, in turn; empty: any
  net::Engine engine = net::Engine::kAuto;
  uint32_t busy_poll_usecs = 0;
  uint32_t timer_poll_usecs = 0;
  // For how long the device's process may make no progress; 0: for ever.
  uint32_t hang_msecs = kDefaultHangMsecs;
  SandboxOptions sandbox;
  coalesce::Setting rx;
  coalesce::Setting tx;
  std::string state_dir = kDefaultStateDir;
};

// Checks whether Linux's driver can work with queues of that size, a condition
// for `run`.
absl::Status CheckQueueSize(const std::string& text);

// Checks a value of --hang-msecs: 0, or kLeastHangMsecs to kMostHangMsecs.
absl::Status CheckHangMsecs(const std::string& text);

// Parses a list of CPUs like "2,4-6", and keeps its order. The error names what
// is not a CPU, or not one of this process.
absl::StatusOr<std::vector<int>> ParseCpus(const std::string& text);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_OPTIONS_H_
