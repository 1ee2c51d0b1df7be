// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SIM_COMMANDS_H_
#define VDUSE_NET_TESTS_SIM_COMMANDS_H_

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "coalesce/coalescer.h"
#include "coalesce/param_table.h"
#include "tests/sim/linux_queue.h"
#include "tests/sim/settings.h"
#include "tests/sim/wire.h"

namespace sim {

// The control queue of Linux's driver: one command at a time, for whose answer
// the driver spins. Knows what the driver has set, and checks the answers.
class Commands {
 public:
  // The longest time in which a process must answer a command.
  static constexpr Duration kAnswerLimit = std::chrono::milliseconds(50);

  Commands(World& world, Kernel& kernel, tests::DriverMemory& memory,
           const Settings& settings, std::deque<Wire>& wires);

  LinuxQueue& queue() { return queue_; }

  // A new driver: the rings are new, and nothing is set.
  void Start(uint16_t base);

  bool busy() const { return sent_at_.has_value(); }
  // Sends nothing unless the device serves all queues.
  void SendRandom();
  void SendAnnounceAck();
  // One that no device knows.
  void SendUnknown();
  // Takes the answer, if it has come.
  void Poll();
  // Whether the device should serve all queues by now.
  void SetServed(bool served);
  // Fails the simulation if the device, which serves the queue since
  // `served_since`, has not answered for too long.
  void CheckAnswered(Instant served_since);

  // The operator has changed a setting.
  void SetOperator(coalesce::Direction direction,
                   const coalesce::Setting& setting);

  // A queue was taken away and is back: what was set for it alone is lost.
  void ReenableQueue(uint32_t queue);

  // --- What is in force, or may be while a command is not answered ---

  coalesce::Params Bound(uint32_t queue) const;
  uint32_t active_pairs() const { return std::min(pairs_, next_pairs_); }

 private:
  struct QueueBound {
    coalesce::Params in_force;
    coalesce::Params next;   // after the command that is not answered
    bool pending = false;    // such a command sets `next`
    bool by_driver = false;  // has set what is in force
  };

  void Send(uint8_t command_class, uint8_t command,
            std::span<const uint8_t> payload, uint32_t reply_bytes = 0);
  void SendPromiscuous();
  void SendPairs();
  void SendCoalescing();
  void SendQueueCoalescing();
  void SendQuery();
  void SetBounds(uint32_t first, uint32_t step, coalesce::Params params);
  void CheckAnswer();

  World& world_;
  const Settings& settings_;
  std::deque<Wire>& wires_;
  tests::DriverMemory& memory_;
  const uint64_t reply_;   // where the device writes
  const uint64_t status_;  // likewise
  LinuxQueue queue_;
  std::array<coalesce::Setting, 2> operator_;           // by direction
  std::array<std::optional<coalesce::Params>, 2> all_;  // set by RX_SET, TX_SET
  std::vector<QueueBound> bounds_;
  std::optional<Instant> sent_at_;
  uint8_t expected_status_ = 0;
  bool may_fail_ = false;  // the answer may be ERR
  bool served_ = false;
  std::vector<uint8_t> expected_;      // before the status
  std::function<void()> on_answered_;  // puts it in force
  bool promiscuous_ = false;
  uint32_t pairs_ = 1;
  uint32_t next_pairs_ = 1;
};

}  // namespace sim

#endif  // VDUSE_NET_TESTS_SIM_COMMANDS_H_
