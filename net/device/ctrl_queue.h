// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_CTRL_QUEUE_H_
#define VDUSE_NET_NET_DEVICE_CTRL_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "net/device/command_target.h"
#include "net/path/notified_queue.h"
#include "net/wire/ctrl_wire.h"
#include "vduse/chain.h"
#include "vduse/chain_io.h"

namespace net {

// The control virtqueue (virtio 1.3, 5.1.6.5). kCommands in ctrl_commands.cc
// has one row per command: class, command, required feature, permitted payload
// lengths, and the function to run. A command that matches no row is answered
// with ERR.
//
// The driver spins until it has the answer, usually with its host's network
// configuration locked. So Serve() answers each command that it takes before it
// returns, and returns every chain. A ring that cannot be read is answered with
// an entry that makes the driver give up.
//
// On the control thread.
class CtrlQueue {
 public:
  // Commands per Serve().
  static constexpr uint32_t kBudget = 64;
  // Descriptors per Serve(), except for those of the last command.
  static constexpr uint64_t kWalkBudget = 32768;

  struct Counters {
    uint64_t commands = 0;      // answered with OK
    uint64_t rejected = 0;      // answered with ERR
    uint64_t unanswerable = 0;  // returned without a status byte
  };

  // Whether commands are carried out. If not, each is answered with ERR.
  enum class Mode : uint8_t { kExecute, kRefuse };

  // `target` must outlive the queue. `features` are the negotiated ones.
  CtrlQueue(NotifiedQueue queue, uint64_t features, CommandTarget& target,
            Mode mode = Mode::kExecute);

  // Answers the commands offered. True if the budget was used up; then call it
  // again.
  [[nodiscard]] bool Serve(Instant now);

  NotifiedQueue& queue() { return queue_; }
  const NotifiedQueue& queue() const { return queue_; }
  const Counters& counters() const { return counters_; }

 private:
  struct Reply {
    bool ok = false;
    std::vector<uint8_t> bytes{};  // without the status byte
  };
  // The permitted lengths of a payload: `least` bytes plus up to `most_entries`
  // entries of `entry_bytes`.
  struct Length {
    uint64_t least;
    uint64_t entry_bytes = 1;
    uint64_t most_entries = 0;

    bool Admits(uint64_t bytes) const {
      return bytes >= least && (bytes - least) % entry_bytes == 0 &&
             (bytes - least) / entry_bytes <= most_entries;
    }
  };
  struct Command {
    uint8_t command_class;
    uint8_t command;
    unsigned feature;
    Length payload;
    Reply (CtrlQueue::*run)(vduse::ChainReader&);
    // If not 0, the driver must provide this many writable bytes for the reply
    // in addition to the status byte. The reply comes first, unless the first
    // writable segment has one byte: that is then the status byte. If 0, the
    // reply follows the status byte and is cut to the room that there is.
    size_t reply_bytes = 0;
  };
  static const Length kMacTables;
  static const Length kStatsRequests;
  static constexpr size_t kMaxReplyBytes = sizeof(ctrl::Coal);
  static const Command kCommands[];

  uint64_t Execute(const vduse::Chain& chain);
  const Command* Find(uint8_t command_class, uint8_t command) const;

  // The functions that the rows run, on a payload of a permitted length.
  template <RxMode mode>
  Reply SetMode(vduse::ChainReader& payload);
  Reply MacTableSet(vduse::ChainReader& payload);
  Reply MacAddrSet(vduse::ChainReader& payload);
  Reply VlanAdd(vduse::ChainReader& payload);
  Reply VlanDel(vduse::ChainReader& payload);
  Reply AnnounceAck(vduse::ChainReader& payload);
  Reply PairsSet(vduse::ChainReader& payload);
  Reply OffloadsSet(vduse::ChainReader& payload);
  template <coalesce::Direction direction>
  Reply SetAll(vduse::ChainReader& payload);
  Reply VqSet(vduse::ChainReader& payload);
  Reply VqGet(vduse::ChainReader& payload);
  Reply StatsQuery(vduse::ChainReader& payload);
  Reply StatsGet(vduse::ChainReader& payload);

  NotifiedQueue queue_;
  const uint64_t features_;
  CommandTarget& target_;
  const Mode mode_;
  Counters counters_;
  bool gave_up_ = false;
};

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_CTRL_QUEUE_H_
