// SPDX-License-Identifier: Apache-2.0
//
// Drives net::CtrlQueue with a driver that does as it likes. The input is a
// header (size, start index, features, mode) and then operations, one byte
// each with the bytes they need: the driver writes commands, pokes
// descriptors and the available ring, offers heads, remaps; the device
// serves.
//
// Descriptors, available ring and indirect tables lie where the device may
// only read, so what was offered is known. Beside what the sanitizers see, it
// holds that
//   - one Serve() answers all that is offered, up to its budget, and says
//     whether it stopped there;
//   - used entries name the heads in the order in which they were offered,
//     each once, and claim no more than the chain could hold;
//   - what is answered with OK reached the target, unless it only asks, and
//     nothing else did;
//   - a broken ring gets one unusable entry and then nothing more.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>

#include "net/device/ctrl_queue.h"
#include "net/wire/features.h"
#include "tests/fuzz/holds.h"
#include "tests/fuzz/input.h"
#include "tests/support/fake_device.h"
#include "tests/support/instant.h"
#include "vduse/iova_map.h"
#include "vduse/ring_layout.h"

namespace net {
namespace {

using vduse::Desc;

using tests::Input;
constexpr uint64_t kPage = 4096;
constexpr uint64_t kRings = 0x10000;  // descriptors, available, tables
constexpr uint64_t kRingsBytes = 3 * kPage;
constexpr uint64_t kUsed = kRings + kRingsBytes;
constexpr uint64_t kBuffers = kUsed + 2 * kPage;  // a hole between
constexpr uint64_t kBuffersBytes = 2 * kPage;
constexpr uint32_t kMaxSize = 128;

// The driver's memory. Made once; each input starts with it zeroed.
struct Memory {
  tests::FakeDevice device{3};
  uint8_t* rings = device.AddRegion(kRings, kRingsBytes, tests::Perm::kRead);
  uint8_t* used = device.AddRegion(kUsed, kPage);
  uint8_t* buffers = device.AddRegion(kBuffers, kBuffersBytes);
};

// Counts what comes through; queues 0 and 1 are there.
class Target : public CommandTarget {
 public:
  void SetCoalescing(coalesce::Direction, coalesce::Params) override {
    ++calls;
  }
  bool SetQueueCoalescing(uint32_t queue, coalesce::Params) override {
    if (queue < 2) ++calls;
    return queue < 2;
  }
  std::optional<coalesce::Params> QueueCoalescing(
      uint32_t queue) const override {
    if (queue >= 2) return std::nullopt;
    ++calls;
    return coalesce::Params{.max_packets = 1, .max_usecs = 2};
  }
  bool SetQueuePairs(uint16_t pairs) override {
    if (pairs == 1) ++calls;
    return pairs == 1;
  }
  bool SetGuestOffloads(uint64_t offloads) override {
    if ((offloads & ~kGuestOffloads) == 0) ++calls;
    return (offloads & ~kGuestOffloads) == 0;
  }
  void SetRxMode(RxMode, RxModeSwitch) override { ++calls; }
  void SetMacTables(const MacTable& unicast,
                    const MacTable& multicast) override {
    HOLDS(unicast.count <= MacTable::kMaxEntries);
    HOLDS(multicast.count <= MacTable::kMaxEntries);
    ++calls;
  }
  bool SetMac(const MacAddress& mac) override {
    if ((mac[0] & 1) == 0) ++calls;
    return (mac[0] & 1) == 0;
  }
  bool AddVlan(uint16_t id) override {
    if (id < RxFilter::kVlans) ++calls;
    return id < RxFilter::kVlans;
  }
  bool DeleteVlan(uint16_t id) override { return AddVlan(id); }
  bool AcknowledgeAnnounce() override {
    announcing = !announcing;
    if (announcing) ++calls;
    return announcing;
  }
  // Statistics only say, and may ask for nothing at all.
  std::optional<QueueStats> Stats(uint32_t queue) const override {
    if (queue >= 2) return std::nullopt;
    return QueueStats{};
  }
  bool announcing = false;
  mutable uint64_t calls = 0;
};

class CtrlFuzz {
 public:
  CtrlFuzz(Memory& memory, Input& input) : memory_(memory), input_(input) {}
  void Run();

 private:
  Desc* descs() { return reinterpret_cast<Desc*>(memory_.rings); }
  Desc* table() { return reinterpret_cast<Desc*>(memory_.rings + 2 * kPage); }
  uint16_t* avail() {
    return reinterpret_cast<uint16_t*>(memory_.rings + kPage);
  }
  uint16_t used_idx() {
    uint16_t idx;
    std::memcpy(&idx, memory_.used + 2, 2);
    return idx;
  }
  vduse::UsedElem used_elem(uint16_t index) {
    vduse::UsedElem elem;
    std::memcpy(&elem, memory_.used + 4 + 8 * (index & (size_ - 1)), 8);
    return elem;
  }

  uint64_t Address();
  uint32_t Length();
  void PokeDesc(Desc& desc);
  void WriteCommand();
  void OfferCommand();
  void DriverStep(uint8_t what);
  uint64_t WritableAtMost(uint16_t head);
  void Serve();

  Memory& memory_;
  Input& input_;
  vduse::IovaMap map_{memory_.device};
  Target target_;
  std::optional<CtrlQueue> queue_;
  uint32_t size_ = 0;
  bool may_alias_ = false;  // buffers may lie in the used ring
  bool stats_ = false;      // there are commands that only ask
  bool gave_up_ = false;
  uint16_t next_ = 0;  // the next entry to be used
  Instant now_ = tests::At(Duration(1));
};

uint64_t CtrlFuzz::Address() {
  const uint8_t where = input_.Byte();
  const uint16_t offset = input_.Word();
  switch (where % 5) {
    case 0:
      return kRings + offset % kRingsBytes;
    case 1:
      return may_alias_ ? kUsed + offset % kPage : kUsed + kPage + offset % 64;
    case 2:
      return kRings + 2 * kPage + offset % kPage / 16 * 16;
    default:
      return kBuffers + offset % (kBuffersBytes + 16);
  }
}

uint32_t CtrlFuzz::Length() {
  const uint8_t kind = input_.Byte();
  switch (kind % 8) {
    case 0:
      return 0;
    case 1:
      return 0xffffffff - kind / 8;
    case 2:
      return input_.Word();
    case 3:
      return 16 * (1 + uint32_t{kind} / 8);
    case 4:
      return 1;
    default:
      return kind / 8;
  }
}

void CtrlFuzz::PokeDesc(Desc& desc) {
  desc.addr = Address();
  desc.len = Length();
  // The used ring is between: whoever reaches into it from below, aliases.
  if (!may_alias_ && desc.addr < kUsed && desc.addr + desc.len > kUsed) {
    desc.len = 0;
  }
  const uint8_t bits = input_.Byte();
  desc.flags = bits % 8;
  desc.next = bits / 8 == 31 ? input_.Word() : bits / 8;
}

// Puts something like a command into the buffers.
void CtrlFuzz::WriteCommand() {
  uint8_t* to = memory_.buffers + input_.Byte() * 16;
  to[0] = input_.Byte() % 9;
  to[1] = input_.Byte() % 6;
  for (int i = 2; i < 14; ++i) to[i] = input_.Byte() % 4;
}

// A command as a good driver would offer it, or nearly.
void CtrlFuzz::OfferCommand() {
  const uint8_t where = input_.Byte();
  const uint8_t shape = input_.Byte();
  const uint8_t payload = input_.Byte() % 40;
  const uint8_t room = input_.Byte() % 160;
  const bool in_table = (shape & 1) != 0;
  Desc* to = in_table ? table() : descs();
  const auto at =
      static_cast<uint16_t>(in_table ? 0 : shape / 8 % std::max(1U, size_ - 2));
  if (at + 2U >= (in_table ? kPage / 16 : size_)) return;
  const uint64_t iova = kBuffers + where * 16;
  const uint64_t out = kBuffers + kPage + where * 8;
  const auto link = [&](int n) { return static_cast<uint16_t>(at + n); };
  to[at] = {.addr = iova, .len = 2, .flags = 1, .next = link(1)};
  to[at + 1] = {.addr = iova + 2, .len = payload, .flags = 1, .next = link(2)};
  to[at + 2] = {.addr = out, .len = room, .flags = 2, .next = 0};
  uint16_t head = at;
  if (in_table) {
    head = static_cast<uint16_t>(shape / 8 % size_);
    descs()[head] = {
        .addr = kRings + 2 * kPage, .len = 48, .flags = 4, .next = 0};
  }
  uint16_t& idx = avail()[vduse::kAvailIdx];
  avail()[vduse::kAvailRing + (idx & (size_ - 1))] = head;
  ++idx;
}

void CtrlFuzz::DriverStep(uint8_t what) {
  switch (what % 8) {
    case 0:
      PokeDesc(descs()[input_.Byte() % size_]);
      break;
    case 1:
      PokeDesc(table()[input_.Byte()]);
      break;
    case 2: {  // offers a head
      const uint8_t head = input_.Byte();
      uint16_t& idx = avail()[vduse::kAvailIdx];
      avail()[vduse::kAvailRing + (idx & (size_ - 1))] =
          head == 0xff ? input_.Word() : static_cast<uint16_t>(head % size_);
      ++idx;
      break;
    }
    case 3:
      avail()[vduse::kAvailIdx] =
          static_cast<uint16_t>(avail()[vduse::kAvailIdx] + input_.Byte() % 16);
      break;
    case 4:
      avail()[input_.Byte() % (vduse::kAvailRing + size_ + 1)] = input_.Word();
      break;
    case 5:
      WriteCommand();
      break;
    default:
      OfferCommand();
  }
}

// The most a chain could hold, malformed or not.
uint64_t CtrlFuzz::WritableAtMost(uint16_t head) {
  uint64_t bytes = 0;
  const auto add = [&](const Desc& desc) {
    if ((desc.flags & vduse::kDescWrite) != 0) bytes += desc.len;
  };
  uint16_t index = head;
  for (uint32_t i = 0; i < size_ && index < size_; ++i) {
    const Desc& desc = descs()[index];
    if ((desc.flags & vduse::kDescIndirect) != 0) {
      // Tables anywhere but in their page: there is a most in any case.
      if (desc.addr != kRings + 2 * kPage) return UINT64_MAX;
      for (uint32_t k = 0; k < std::min<uint64_t>(desc.len, kPage) / 16; ++k) {
        add(table()[k]);
      }
      break;
    }
    add(desc);
    if ((desc.flags & vduse::kDescNext) == 0) break;
    index = desc.next;
  }
  return bytes;
}

void CtrlFuzz::Serve() {
  const uint16_t idx = avail()[vduse::kAvailIdx];
  const auto offered = static_cast<uint16_t>(idx - next_);
  const uint64_t calls = target_.calls;
  const CtrlQueue::Counters before = queue_->counters();
  now_ += std::chrono::milliseconds(1);
  const bool again = queue_->Serve(now_);
  vduse::Virtqueue& ring = queue_->queue().ring();

  // Each command that was acknowledged was carried out, once.
  const CtrlQueue::Counters& after = queue_->counters();
  if (stats_) {
    HOLDS(after.commands - before.commands >= target_.calls - calls);
  } else {
    HOLDS(after.commands - before.commands == target_.calls - calls);
  }
  const uint64_t answered = (after.commands - before.commands) +
                            (after.rejected - before.rejected) +
                            (after.unanswerable - before.unanswerable);
  HOLDS(answered <= CtrlQueue::kBudget);
  if (!ring.broken()) {
    HOLDS(answered == std::min<uint32_t>(offered, CtrlQueue::kBudget));
    HOLDS(again == (offered >= CtrlQueue::kBudget));
  }
  uint16_t expected = static_cast<uint16_t>(next_ + answered);
  if (ring.broken() && !again && !gave_up_) {
    gave_up_ = true;
    if (!may_alias_) HOLDS(used_elem(expected).id == 0xffff);
    ++expected;
  }
  HOLDS(used_idx() == expected || may_alias_);
  for (uint64_t i = 0; i < answered && !may_alias_; ++i) {
    const auto index = static_cast<uint16_t>(next_ + i);
    const vduse::UsedElem elem = used_elem(index);
    const uint16_t head = avail()[vduse::kAvailRing + (index & (size_ - 1))];
    HOLDS(elem.id == head);
    HOLDS(elem.len <= (stats_ ? 1 + 64 * 56 : 9));
    HOLDS(elem.len <= WritableAtMost(head));
  }
  next_ = expected;
}

void CtrlFuzz::Run() {
  size_ = 1U << (input_.Byte() % 8);
  HOLDS(size_ <= kMaxSize);
  next_ = input_.Word();
  const uint8_t options = input_.Byte();
  const bool event_idx = (options & 1) != 0;
  may_alias_ = (options & 2) != 0;
  uint64_t features = kOfferedFeatures;
  if ((options & 4) != 0) features &= ~Bit(kFeatureNotfCoal);
  if ((options & 8) != 0) features &= ~Bit(kFeatureVqNotfCoal);
  stats_ = (options & 16) == 0;
  if (!stats_) features &= ~Bit(kFeatureDeviceStats);
  if ((options & 32) != 0) features &= ~Bit(kFeatureCtrlRx);
  avail()[vduse::kAvailIdx] = next_;
  std::memcpy(memory_.used + 2, &next_, 2);
  const vduse::QueueInfo info{.size = size_,
                              .desc_addr = kRings,
                              .driver_addr = kRings + kPage,
                              .device_addr = kUsed,
                              .position = {.avail_index = next_},
                              .ready = true};
  queue_.emplace(
      NotifiedQueue(memory_.device, 2,
                    *vduse::Virtqueue::Create(
                        info, {.event_idx = event_idx, .indirect = true},
                        vduse::Virtqueue::Start::kFresh, map_),
                    size_),
      features, target_);
  for (int steps = 0; steps < 4096 && !input_.empty(); ++steps) {
    const uint8_t what = input_.Byte();
    switch (what % 8) {
      case 0:
        Serve();
        break;
      case 1:
        queue_->queue().ring().UnmapRings();
        map_.DropAll();
        break;
      default:
        DriverStep(what / 8);
    }
  }
  Serve();
}

}  // namespace
}  // namespace net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto& memory = *new net::Memory;
  std::memset(memory.rings, 0, net::kRingsBytes);
  std::memset(memory.used, 0, net::kPage);
  std::memset(memory.buffers, 0, net::kBuffersBytes);
  net::Input input(data, size);
  net::CtrlFuzz(memory, input).Run();
  return 0;
}
