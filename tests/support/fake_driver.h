// SPDX-License-Identifier: Apache-2.0
//
// The driver's side of split virtqueues, on real ring memory:
//
//   FakeDevice device;
//   DriverMemory memory(device);
//   DriverQueue queue(device, memory, {.size = 8, .base = 65530});
//   queue.Chain().Readable("request").Writable(64).Offer();
//   queue.Kick();
//   ... the device works ...
//   std::optional<UsedEntry> used = queue.TakeUsed();
//
// For a driver that misbehaves: build the chain, damage it in memory through
// desc(), table() or StoreAvail(), then call OfferHead().
#ifndef VDUSE_NET_TESTS_SUPPORT_FAKE_DRIVER_H_
#define VDUSE_NET_TESTS_SUPPORT_FAKE_DRIVER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/driver_host.h"
#include "tests/support/fake_device.h"
#include "vduse/device.h"
#include "vduse/ring_layout.h"

namespace tests {

// Allocates buffers in one region of the driver's memory. Must outlive the
// queues that use it. One thread.
class DriverMemory {
 public:
  static constexpr uint64_t kStart = 0x100000;

  // Adds the region [start, start + size) to `device`.
  explicit DriverMemory(FakeDevice& device, uint64_t start = kStart,
                        uint64_t size = 4 << 20)
      : DriverMemory(device.AddRegion(start, size), start, size) {}

  // For a region that exists already: the driver's pointer to it is `data`.
  DriverMemory(uint8_t* data, uint64_t start, uint64_t size)
      : data_(data), start_(start), size_(size) {}

  // Allocates bytes at a multiple of `align`, a power of 2. Fails the test and
  // ends the program if there is no room.
  uint64_t Allocate(uint64_t size, uint64_t align = 64);
  void Free(uint64_t iova, uint64_t size);

  // The driver's own pointer to `iova`.
  uint8_t* At(uint64_t iova) { return data_ + (iova - start_); }
  bool Holds(uint64_t iova, uint64_t size) const {
    return iova >= start_ && iova - start_ <= size_ &&
           size <= size_ - (iova - start_);
  }

 private:
  uint8_t* data_;
  uint64_t start_;
  uint64_t size_;
  uint64_t next_ = 0;
  std::map<uint64_t, std::vector<uint64_t>> free_;  // by rounded size
};

// One entry of the used ring, as the driver found it.
struct UsedEntry {
  uint32_t id = 0;
  uint32_t len = 0;
  std::vector<uint8_t> bytes;  // the first `len` of the writable part

  std::string text() const { return {bytes.begin(), bytes.end()}; }
};

class ChainBuilder;

// The driver's side of one queue. One thread, which need not be the device's.
class DriverQueue {
 public:
  struct Options {
    uint32_t index = 0;  // the queue's index in the device
    uint32_t size = 8;   // entries
    uint16_t base = 0;   // first value of the available and used index
    bool event_idx = false;
  };

  // Places the rings in `memory` and tells `host` that the queue is ready.
  DriverQueue(DriverHost& host, DriverMemory& memory, Options options);

  // For use after a reset: empties the rings, starts both indices at `base`,
  // and makes the queue ready again.
  void Restart(uint16_t base);

  const vduse::QueueInfo& info() const { return info_; }
  uint32_t size() const { return options_.size; }

  // --- Offering ---

  ChainBuilder Chain();

  // Puts a head into the next available entry and moves the index. A head that
  // no builder made counts as having `writable` writable bytes.
  void OfferHead(uint16_t head, uint64_t writable = 0);

  void Kick() { host_.Kick(options_.index); }
  // Kicks if the device asked for a kick since the last call (2.7.10). Returns
  // whether it kicked.
  bool KickIfWanted();
  bool KicksDisabled();  // by the used ring's flag; without EVENT_IDX
  uint16_t avail_event() { return LoadUsed(AvailEventWord()); }

  // --- Taking back ---

  // Returns the next used entry, or nothing. Fails the test for an entry that
  // would harm a driver: an id that is not outstanding, more bytes than were
  // writable, or an index that ran ahead.
  std::optional<UsedEntry> TakeUsed();
  // Takes all used entries; returns their number.
  uint32_t DrainUsed();
  uint32_t outstanding() const { return outstanding_count_; }

  // Say whether the driver wants notifications: by the flag, or by the index of
  // the used entry that it waits for.
  void SetNoInterrupt(bool no_interrupt);
  void SetUsedEvent(uint16_t event);

  // --- Ring memory ---

  vduse::Desc& desc(uint32_t index);
  // The indirect table that descriptor `head` refers to.
  std::span<vduse::Desc> table(uint16_t head);
  uint16_t LoadAvail(size_t word);
  void StoreAvail(size_t word, uint16_t value);
  uint16_t LoadUsed(size_t word);
  void StoreUsed(size_t word, uint16_t value);
  vduse::UsedElem used_elem(uint16_t index);  // modulo size
  uint16_t avail_idx() { return LoadAvail(vduse::kAvailIdx); }
  uint16_t used_idx() { return LoadUsed(vduse::kUsedIdx); }
  size_t UsedEventWord() const { return vduse::kAvailRing + size(); }
  size_t AvailEventWord() const { return 2 + 4ULL * size(); }

 private:
  friend class ChainBuilder;

  struct Buffer {
    uint64_t iova;
    uint64_t size;
  };
  struct Built {
    std::vector<uint16_t> descriptors;
    std::vector<Buffer> owned;     // allocated by the builder
    std::vector<Buffer> writable;  // in chain order
    uint64_t writable_bytes = 0;
    uint32_t offered = 0;  // how often it is outstanding
  };

  uint16_t TakeDescriptor();
  void Retire(uint16_t head);

  DriverHost& host_;
  DriverMemory& memory_;
  Options options_;
  vduse::QueueInfo info_;
  std::deque<uint16_t> free_;
  std::map<uint16_t, Built> built_;  // by head
  uint32_t outstanding_count_ = 0;
  uint16_t avail_next_ = 0;
  uint16_t used_next_ = 0;
  uint16_t kicked_at_ = 0;
};

// Builds a descriptor chain, in the order of the calls. The last call is
// Build() or Offer(); until then the rings are unchanged.
class ChainBuilder {
 public:
  // Adds a new buffer that holds `bytes`, or has room for that many.
  ChainBuilder& Readable(std::span<const uint8_t> bytes);
  ChainBuilder& Readable(std::string_view text);
  ChainBuilder& Writable(uint32_t bytes);

  // Adds a descriptor for memory at an address that the caller chooses.
  ChainBuilder& ReadableAt(uint64_t iova, uint32_t bytes);
  ChainBuilder& WritableAt(uint64_t iova, uint32_t bytes);

  // Adds a descriptor unchanged, except that NEXT and `next` are set if another
  // follows.
  ChainBuilder& Raw(vduse::Desc desc);

  // Puts all descriptors added from here on into one indirect table.
  ChainBuilder& Indirect();

  // Writes the descriptors and returns the head, for OfferHead().
  uint16_t Build();
  // Builds the chain and offers it. Returns the head.
  uint16_t Offer();

 private:
  friend class DriverQueue;
  explicit ChainBuilder(DriverQueue& queue) : queue_(queue) {}
  uint64_t Allocate(uint64_t bytes);

  DriverQueue& queue_;
  DriverQueue::Built built_;
  std::vector<vduse::Desc> direct_;
  std::vector<vduse::Desc> table_;
  bool indirect_ = false;
};

}  // namespace tests

#endif  // VDUSE_NET_TESTS_SUPPORT_FAKE_DRIVER_H_
