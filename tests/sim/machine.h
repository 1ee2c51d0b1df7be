// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SIM_MACHINE_H_
#define VDUSE_NET_TESTS_SIM_MACHINE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "net/device/device_state.h"
#include "net/device/net_device.h"
#include "tests/sim/driver.h"
#include "tests/sim/kernel.h"
#include "tests/sim/lifecycle.h"
#include "tests/sim/settings.h"
#include "tests/sim/shared_memory.h"
#include "tests/sim/stepped_runner.h"
#include "tests/sim/wire.h"
#include "tests/sim/world.h"

namespace sim {

// A host with one device: the kernel, the driver, the network, and the process
// that serves the device, which crashes now and then. Each step lets one of
// them do something, and then checks what must be true at any time.
class Machine {
 public:
  struct Counts {
    uint64_t crashes = 0;
    uint64_t moves = 0;
    uint64_t drains = 0;
    uint64_t received = 0;
    uint64_t sent = 0;
  };

  explicit Machine(World& world);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  const Settings& settings() const { return settings_; }

  void Step();
  // Adds no load until everything is done, and checks that it is.
  void Drain();

  Counts counts() const;

 private:
  // What runs at a time.
  enum class Load : uint8_t { kNone, kLight, kHeavy };

  // The process.
  void StartProcess(bool adopts);
  void CreateDevice();
  void RunDevice(absl::FunctionRef<void()> work);
  void OnPoint();
  void Bury();
  bool Move();
  void SetTap();
  void OnKick(int fd);
  bool ServeHasReason() const;
  void Serve();

  // A step.
  void Turn();
  void RunnerTurn();
  void NetworkTurn();
  void TroubleTurn();
  void OperatorTurn();
  void TapTurn();
  void Idle();
  bool HasReason();
  std::optional<Instant> NextDeadline() const;
  void Check();

  World& world_;
  Settings settings_;
  SharedMemory memory_;
  SharedMemory journal_;
  Kernel kernel_;
  std::deque<Wire> wires_;
  Driver driver_;
  Lifecycle lifecycle_;

  // The process, if one runs.
  std::unique_ptr<DeviceFile> file_;
  std::unique_ptr<net::NetDevice> net_;
  std::vector<SteppedRunner*> runners_;  // owned by net_
  Instant up_since_{};
  Instant restart_at_{};
  bool ctrl_kicked_ = false;
  bool attention_ = false;
  // What a process leaves behind in its file.
  std::optional<net::DeviceState> saved_;

  uint64_t points_left_ = 0;  // until a crash; 0: none is coming
  Load load_ = Load::kLight;
  bool draining_ = false;
  Counts counts_;
};

}  // namespace sim

#endif  // VDUSE_NET_TESTS_SIM_MACHINE_H_
