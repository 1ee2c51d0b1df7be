// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_CTRL_QUEUE_H_
#define VDUSE_NET_NET_CTRL_QUEUE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "coalesce/param_table.h"
#include "net/notified_queue.h"
#include "vduse/chain.h"

namespace net {

// What the driver's commands act on. When a call returns, the change is in
// force.
class CommandTarget {
 public:
  virtual ~CommandTarget() = default;

  // NOTF_COAL_RX_SET, NOTF_COAL_TX_SET.
  virtual void SetCoalescing(coalesce::Direction direction,
                             coalesce::Params params) = 0;
  // NOTF_COAL_VQ_SET. False where the queue is not an enabled data queue.
  [[nodiscard]] virtual bool SetQueueCoalescing(uint32_t queue,
                                                coalesce::Params params) = 0;
  // NOTF_COAL_VQ_GET, likewise.
  virtual std::optional<coalesce::Params> QueueCoalescing(
      uint32_t queue) const = 0;
  // GUEST_OFFLOADS_SET. False if it names what was not negotiated.
  [[nodiscard]] virtual bool SetGuestOffloads(uint64_t offloads) = 0;
};

// The control virtqueue (virtio 1.3, 5.1.6.5): one row per command in a table
// that is the whole admission rule.
//
// The driver waits for the answer without end and without sleeping, as a rule
// with its host's network configuration locked: every command is answered in
// the call that finds it, and every chain returned. A ring that cannot be
// read is answered with an entry that makes the driver give up.
//
// On the control thread.
class CtrlQueue {
 public:
  // Commands per Serve().
  static constexpr uint32_t kBudget = 64;

  struct Counters {
    uint64_t commands = 0;      // answered with OK
    uint64_t rejected = 0;      // answered with ERR
    uint64_t unanswerable = 0;  // returned without a status byte
  };

  // `target` must outlive the queue. `features` are the negotiated ones.
  CtrlQueue(NotifiedQueue queue, uint64_t features, CommandTarget& target);

  // Answers what is offered. True if the budget was used up: call again.
  [[nodiscard]] bool Serve(Time now);

  NotifiedQueue& queue() { return queue_; }
  const NotifiedQueue& queue() const { return queue_; }
  const Counters& counters() const { return counters_; }

 private:
  // struct virtio_net_ctrl_hdr and the largest payload of any command.
  static constexpr size_t kMaxReadable = 2 + 12;
  static constexpr size_t kMaxReply = 8;

  struct Reply {
    bool ok = false;
    std::array<uint8_t, kMaxReply> bytes{};
  };
  using Payload = std::span<const uint8_t>;
  struct Command;
  static const Command kCommands[];

  uint64_t Execute(const vduse::Chain& chain);
  const Command* Find(uint8_t command_class, uint8_t command) const;
  Reply SetAll(coalesce::Direction direction, Payload payload);
  Reply TxSet(Payload payload);
  Reply RxSet(Payload payload);
  Reply VqSet(Payload payload);
  Reply VqGet(Payload payload);
  Reply OffloadsSet(Payload payload);

  NotifiedQueue queue_;
  const uint64_t features_;
  CommandTarget& target_;
  Counters counters_;
  bool gave_up_ = false;
};

}  // namespace net

#endif  // VDUSE_NET_NET_CTRL_QUEUE_H_
