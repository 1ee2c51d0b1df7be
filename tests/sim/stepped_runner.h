// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SIM_STEPPED_RUNNER_H_
#define VDUSE_NET_TESTS_SIM_STEPPED_RUNNER_H_

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "net/path/pair_runner.h"
#include "net/path/worker.h"
#include "tests/sim/wire.h"
#include "tests/sim/world.h"
#include "vduse/device.h"

namespace sim {

// Runs a queue pair on the thread of the simulation. It behaves as net::Worker
// does: it steps for an event that it waits for, and at its deadline, and not
// otherwise. The simulation decides when Step() is called.
class SteppedRunner final : public net::PairRunner {
 public:
  // The kick descriptors are numbers that no file has: kFirstKickFd plus the
  // index of the virtqueue.
  static constexpr int kFirstKickFd = 1 << 20;

  SteppedRunner(World& world, vduse::Device& device,
                const net::Worker::Options& options, Wire& wire);

  // PairRunner
  void Call(const std::function<void(net::QueuePair&)>& work) override;
  int kick_fd(net::Direction direction) const override {
    return kFirstKickFd + static_cast<int>(2 * options_.pair) +
           static_cast<int>(direction);
  }
  const net::NotificationHistograms& histograms(
      net::Direction direction) const override {
    return pair_.path(direction).histograms();
  }
  absl::Status SetTap(net::Tap tap) override;

  // The driver has kicked a queue of the pair.
  void Kick(net::Direction direction) {
    ++kicks_[static_cast<size_t>(direction)];
  }

  // Whether there is a reason to step, and when there will be one at the
  // latest.
  bool HasReason() const;
  std::optional<Instant> deadline() const { return wait_.deadline; }
  void Step();

  // Whether the control thread was called for since the last call.
  [[nodiscard]] bool TakeAttention() {
    return std::exchange(wants_attention_, false);
  }

 private:
  void CallControlThread();
  net::Ready TakeEvents();
  void ReportChanges();

  World& world_;
  const net::Worker::Options options_;
  Wire& wire_;
  net::QueuePair pair_;
  net::Wait wait_;
  std::array<uint64_t, 2> kicks_{};  // by direction
  bool watches_port_ = false;
  bool wants_attention_ = false;
  std::array<bool, 3> reported_{};  // rx and tx broken, port lost
};

}  // namespace sim

#endif  // VDUSE_NET_TESTS_SIM_STEPPED_RUNNER_H_
