// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_PAIR_JOURNAL_H_
#define VDUSE_NET_NET_PATH_PAIR_JOURNAL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "coalesce/param_table.h"
#include "net/path/packet_port.h"
#include "net/path/rx_staging.h"
#include "net/path/uring_memory.h"
#include "vduse/device.h"

namespace net {

// What a successor has to know about the packets that its predecessor was
// moving when it was killed: memory that outlives the process, for one queue
// pair.
//
//   Begin()        names the batch: where its chains begin in the ring
//   port call      the kernel writes the results into the io_uring instance
//                  whose memory is in the journal
//   Note()         rx: copies the results, before others replace them
//   SetProgress()  rx: says how many packets are done with once the used index
//                  has moved
//   Publish        the used index moves
//
// A process may be killed between any two of its instructions. Each step takes
// effect with one aligned store; what it refers to is stored before. The order
// of stores need only hold for the thread itself: its stores are visible to the
// successor, which starts after it has ended, on the same coherent memory.
//
// A batch has a sequence number that no other batch of this memory has had. A
// result carries it in its tag, so a result of another batch is not mistaken
// for one of this batch.
//
// The content is judged as hostile. It decides which packets are delivered and
// which chains are returned, but no value is used as an address or an index
// before it is checked.
//
// One thread at a time: the pair's.
class PairJournal {
 public:
  using Direction = coalesce::Direction;

  // The size of the memory, a multiple of a page. All zeros is an empty
  // journal.
  static constexpr size_t kPageBytes = 4096;
  static constexpr size_t kHeadPages = 3;  // what precedes the staging memory
  static constexpr size_t kBytes =
      kHeadPages * kPageBytes +
      (RxStaging::kBytes + kPageBytes - 1) / kPageBytes * kPageBytes;

  // `memory` is kBytes from a page boundary, and outlives the journal. With no
  // `memory`, the journal has memory of its own, which nobody inherits.
  //
  // What is there is neither read nor written before TakeUp().
  explicit PairJournal(std::span<uint8_t> memory);
  PairJournal(const PairJournal&) = delete;
  PairJournal& operator=(const PairJournal&) = delete;

  // Takes over what the process that used the memory before has left; it must
  // have ended. NextRing(), IsOf(), SetQueue() and Clear() do so by themselves.
  void TakeUp();

  // Whether a successor can read it.
  bool kept() const { return own_ == nullptr; }

  // Memory for the slots of an RxStaging.
  std::span<uint8_t> staging() const;

  // --- The io_uring instance ---

  // Memory for the next io_uring instance, zeroed. The last instance must not
  // be used any more. Nothing if the kernel refuses new pages.
  std::optional<UringMemory> NextRing();

  // --- Batches ---

  struct Batch {
    uint16_t first = 0;      // used index before the batch
    uint32_t in_chains = 0;  // rx: the first bytes, which are in the chains
  };

  // A batch begins. All packets of the direction's last batch are done with.
  // Returns the tag of its first packet.
  uint64_t Begin(Direction direction, const Batch& batch);

  // The tag of a packet: `index` is below kMaxBatch. Transmitting, it counts
  // chains; receiving, it is the slot.
  static uint64_t Tag(uint64_t first, size_t index) {
    return first | uint64_t{index} << kIndexShift;
  }

  // Keeps the result of a read.
  void Note(const Io& packet);

  // What is done with of the batch that was read last: the packets of all slots
  // below `gone_before`; and below `gone_after`, once the used index is no
  // longer `before`.
  struct Progress {
    uint16_t before = 0;
    uint16_t after = 0;
    size_t gone_before = 0;
    size_t gone_after = 0;
    bool whole = false;  // no part of a packet is in chains any more
  };
  void SetProgress(const Progress& progress);

  // Nothing is under way: what was is not the next driver's.
  void Clear(Direction direction);

  // From now on Clear() does nothing: the process ends, and a successor goes
  // on.
  void Leave() { left_ = true; }

  // --- After a crash ---

  // The virtqueue that the batches belong to.
  void SetQueue(Direction direction, const vduse::QueueInfo& info);
  bool IsOf(Direction direction, const vduse::QueueInfo& info);

  // How many chains from used index `used` on must be completed without being
  // sent: the last of them was sent, and none behind it.
  size_t SentFrom(uint16_t used) const;

  // The packets that were read and are not done with.
  struct Received {
    Batch batch;
    size_t gone = 0;
    bool whole = false;
    // By slot: bytes, or at most 0 if there is no packet.
    std::array<int32_t, kMaxBatch> bytes{};
  };
  // Nothing if the journal does not fit `used`.
  std::optional<Received> ReceivedAt(uint16_t used) const;

 private:
  static constexpr unsigned kIndexShift = 8;  // below: free for the port
  static constexpr unsigned kSequenceShift = 16;

  struct Result;
  struct Queue;
  struct Layout;
  struct FreePages {
    void operator()(uint8_t* memory) const;
  };

  Queue& queue(Direction direction) const;
  void KeepResults();

  std::unique_ptr<uint8_t[], FreePages> own_;
  uint8_t* memory_;
  Layout* layout_;
  bool taken_up_ = false;
  bool left_ = false;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_PAIR_JOURNAL_H_
