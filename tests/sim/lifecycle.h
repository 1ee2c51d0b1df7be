// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SIM_LIFECYCLE_H_
#define VDUSE_NET_TESTS_SIM_LIFECYCLE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "tests/sim/driver.h"
#include "tests/sim/kernel.h"
#include "tests/sim/settings.h"
#include "tests/sim/wire.h"
#include "tests/sim/world.h"

namespace sim {

// A driver's life, as the kernel's driver core and a VMM cause it: it begins,
// is reset, is stopped and goes on, is moved to another host, and its memory is
// mapped anew. Each is a plan: steps of which one begins when the one before is
// done, mostly when the device has answered.
class Lifecycle {
 public:
  Lifecycle(World& world, Kernel& kernel, Driver& driver,
            const Settings& settings, std::deque<Wire>& wires)
      : world_(world),
        kernel_(kernel),
        driver_(driver),
        settings_(settings),
        wires_(wires) {}

  // Moves the device to another host; false while there is no process that
  // could be moved.
  void OnMove(std::function<bool()> move) { move_ = std::move(move); }

  bool busy() const { return !plan_.empty(); }
  // Makes a plan, by chance.
  void Plan();
  // Carries on with the plan, if it can.
  void Step();
  std::optional<Instant> deadline() const;

  // Since when the device, if a process serves it, should serve all queues of
  // the driver; nothing if it need not.
  std::optional<Instant> served_since() const { return served_since_; }

 private:
  enum class Op : uint8_t {
    kReset,
    kAcknowledge,
    kFeaturesOk,
    kNewRings,
    kSetUp,
    kDriverOk,
    kRun,
    kUnbind,
    kPause,
    kSuspend,
    kPositions,
    kReadRings,
    kUnmap,
    kMove,
    kCommand,
    kLetCommandsEnd,
    kQueueOff,
    kQueueOn,
  };
  struct Late {
    uint32_t index;
    Instant at;
  };

  void PlanNewDriver();
  void PlanStop();
  // Begins a step, or tries to. True if it is done; otherwise it needs an
  // answer, or is to be tried again.
  bool Begin(Op op);
  void AskFor(Op op);
  void LoseDriverOk();
  void OnAnswer(Op op, const vduse_dev_response& response);
  void AskStatus(uint8_t status);
  void Ask(uint32_t type);
  template <typename T>
  void Ask(uint32_t type, const T& payload) {
    vduse_dev_request request = {};
    request.type = type;
    vduse::SetPayload(request, payload);
    asked_ = kernel_.Ask(request);
  }
  void SetUpQueues();
  void MakeLateReady();
  void ForgiveIfNew();

  World& world_;
  Kernel& kernel_;
  Driver& driver_;
  const Settings& settings_;
  std::deque<Wire>& wires_;
  std::function<bool()> move_;

  std::deque<Op> plan_;
  std::optional<uint32_t> asked_;    // waits for the answer to this request
  std::vector<uint16_t> positions_;  // of the driver's queues
  uint32_t position_asked_ = 0;
  uint32_t queue_off_ = 0;  // is taken away
  uint16_t used_when_off_ = 0;
  bool binds_ = false;        // the driver is bound by its host, without a VMM
  bool writer_dies_ = false;  // while it waits for an answer
  std::vector<Late> late_;    // queues that become ready later
  std::optional<Instant> served_since_;
};

}  // namespace sim

#endif  // VDUSE_NET_TESTS_SIM_LIFECYCLE_H_
