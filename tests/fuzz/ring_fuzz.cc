// SPDX-License-Identifier: Apache-2.0
//
// Drives vduse::Virtqueue with a driver that does as it likes. The input is a
// header (size, start index, features) and then operations, one byte each
// with the bytes they need: the driver pokes descriptors, indices, flags and
// raw memory and remaps regions, the device takes, returns, publishes, asks.
//
// Beside what the sanitizers see, it holds that
//   - a popped chain is the one the available entry named, and its used entry
//     names it again, with no more bytes than it could hold;
//   - no more are outstanding than the ring has entries;
//   - the published index moves by exactly what was pushed;
//   - segments are few and their bytes add up;
//   - a broken ring stays broken and empty.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <utility>

#include "tests/fuzz/holds.h"
#include "tests/fuzz/input.h"
#include "tests/support/fake_device.h"
#include "vduse/iova_map.h"
#include "vduse/virtqueue.h"

namespace vduse {
namespace {

using tests::Input;
constexpr uint64_t kPage = 4096;
constexpr uint64_t kRings = 0x10000;  // read and write
constexpr uint64_t kRingsBytes = 4 * kPage;
constexpr uint64_t kReadOnly = kRings + kRingsBytes;
constexpr uint64_t kWriteOnly = kReadOnly + kPage;
constexpr uint64_t kTop = UINT64_MAX - kPage + 1;  // ends the address space
constexpr uint32_t kMaxSize = 64;

// The driver's memory. Made once; each input starts with it zeroed.
struct Memory {
  tests::FakeDevice device;
  uint8_t* rings = device.AddRegion(kRings, kRingsBytes);
  uint8_t* read_only =
      device.AddRegion(kReadOnly, kPage, tests::Perm::kRead, kPage + 512);
  uint8_t* write_only =
      device.AddRegion(kWriteOnly, kPage, tests::Perm::kWrite);
  uint8_t* top = device.AddRegion(kTop, kPage);
};

class RingFuzz {
 public:
  RingFuzz(Memory& memory, Input& input) : memory_(memory), input_(input) {}

  void Run();

 private:
  struct Taken {
    Chain chain;
    uint16_t head;
  };

  Desc* descs() { return reinterpret_cast<Desc*>(memory_.rings); }
  uint16_t* avail() {
    return reinterpret_cast<uint16_t*>(memory_.rings + kPage);
  }
  uint16_t* used() {
    return reinterpret_cast<uint16_t*>(memory_.rings + 2 * kPage);
  }

  // An address: mostly in or about the regions.
  uint64_t Address();
  uint32_t Length();
  void PokeDesc(Desc& desc);
  void DriverStep(uint8_t what);
  void Pop();
  void CheckAndTouch(const Chain& chain);
  void Push();
  void Unpop();
  void Publish();
  void Remap();

  Memory& memory_;
  Input& input_;
  IovaMap map_{memory_.device};
  uint32_t size_ = 0;
  std::optional<Virtqueue> queue_;
  std::deque<Taken> taken_;
  uint16_t used_next_ = 0;
  uint32_t pushed_ = 0;  // not published
};

uint64_t RingFuzz::Address() {
  const uint8_t where = input_.Byte();
  const uint16_t offset = input_.Word();
  switch (where % 6) {
    case 0:
      return kRings + offset % (kRingsBytes + 64);
    case 1:
      return kReadOnly + offset % kPage;
    case 2:
      return kWriteOnly + offset % (2 * kPage);
    case 3:
      return kTop + offset % kPage;
    case 4:
      return kRings - 1 - offset % 32;
    default:
      return kRings + 3 * kPage + offset % kPage;  // for indirect tables
  }
}

uint32_t RingFuzz::Length() {
  const uint8_t kind = input_.Byte();
  switch (kind % 8) {
    case 0:
      return 0;
    case 1:
      return 0xffffffff - kind / 8;
    case 2:
      return input_.Word();
    case 3:
    case 4:
      return 16 * (1 + uint32_t{kind} / 8);
    default:
      return kind;
  }
}

void RingFuzz::PokeDesc(Desc& desc) {
  desc.addr = Address();
  desc.len = Length();
  const uint8_t bits = input_.Byte();
  desc.flags = bits % 8;
  desc.next = bits / 8 == 31 ? input_.Word() : bits / 8;
}

void RingFuzz::DriverStep(uint8_t what) {
  switch (what % 8) {
    case 0:
      PokeDesc(descs()[input_.Byte() % size_]);
      break;
    case 1: {  // a table entry
      auto* table = reinterpret_cast<Desc*>(memory_.rings + 3 * kPage);
      PokeDesc(table[input_.Byte() % (kPage / sizeof(Desc))]);
      break;
    }
    case 2: {  // offers a head
      const uint8_t head = input_.Byte();
      uint16_t& idx = avail()[kAvailIdx];
      avail()[kAvailRing + (idx & (size_ - 1))] =
          head == 0xff ? input_.Word() : static_cast<uint16_t>(head % size_);
      ++idx;
      break;
    }
    case 3:
      avail()[kAvailIdx] =
          static_cast<uint16_t>(avail()[kAvailIdx] + input_.Byte() % 16);
      break;
    case 4:
      avail()[input_.Byte() % (kAvailRing + size_ + 1)] = input_.Word();
      break;
    case 5:
      used()[input_.Byte() % (3 + 4 * size_)] = input_.Word();
      break;
    case 6: {  // any word at all
      const size_t word = input_.Word() % (kRingsBytes / 2);
      const uint16_t value = input_.Word();
      std::memcpy(memory_.rings + 2 * word, &value, 2);
      break;
    }
    default: {  // a long table at once
      auto* table = reinterpret_cast<Desc*>(memory_.rings + 3 * kPage);
      const uint8_t flags = input_.Byte() % 8;
      constexpr uint16_t kDescs = kPage / sizeof(Desc);
      for (uint16_t i = 0; i < kDescs; ++i) {
        table[i] = {.addr = kRings + 3 * kPage + i,
                    .len = 1,
                    .flags = static_cast<uint16_t>(flags | kDescNext),
                    .next = static_cast<uint16_t>(i + 1)};
      }
      break;
    }
  }
}

void RingFuzz::Pop() {
  const bool was_broken = queue_->broken();
  const uint16_t position = queue_->position().avail_index;
  const uint16_t head = avail()[kAvailRing + (position & (size_ - 1))];
  std::optional<Chain> chain = queue_->Pop();
  if (!chain) {
    HOLDS(queue_->position().avail_index == position);
    return;
  }
  HOLDS(!was_broken && !queue_->broken());
  HOLDS(head < size_);
  HOLDS(queue_->position().avail_index == static_cast<uint16_t>(position + 1));
  HOLDS(taken_.size() < size_);
  CheckAndTouch(*chain);
  taken_.push_back({std::move(*chain), head});
}

void RingFuzz::CheckAndTouch(const Chain& chain) {
  HOLDS(chain.readable().size() + chain.writable().size() <=
        Virtqueue::kMaxSegments);
  HOLDS(chain.slots() <= size_ + 1);
  uint64_t bytes = 0;
  unsigned sum = 0;
  for (const iovec& part : chain.readable()) {
    HOLDS(part.iov_len > 0);
    const auto* from = static_cast<const volatile uint8_t*>(part.iov_base);
    sum += from[0] + from[part.iov_len - 1];
    bytes += part.iov_len;
  }
  HOLDS(sum <= 2 * 255 * Virtqueue::kMaxSegments);
  HOLDS(bytes == chain.readable_bytes());
  bytes = 0;
  for (const iovec& part : chain.writable()) {
    HOLDS(part.iov_len > 0);
    auto* to = static_cast<uint8_t*>(part.iov_base);
    to[0] = static_cast<uint8_t>(bytes);
    to[part.iov_len - 1] = 0x55;
    bytes += part.iov_len;
  }
  HOLDS(bytes == chain.writable_bytes());
  HOLDS(!chain.malformed() || (bytes == 0 && chain.readable().empty()));
}

void RingFuzz::Push() {
  if (taken_.empty()) return;
  Taken oldest = std::move(taken_.front());
  taken_.pop_front();
  const uint64_t written = Length();
  const uint64_t room = oldest.chain.writable_bytes();
  queue_->Push(std::move(oldest.chain), written);
  UsedElem elem;
  std::memcpy(&elem, used() + 2 + 4 * (used_next_ & (size_ - 1)), sizeof(elem));
  HOLDS(elem.id == oldest.head);
  HOLDS(elem.len == std::min(written, room));
  ++used_next_;
  ++pushed_;
}

void RingFuzz::Unpop() {
  if (taken_.empty()) return;
  const uint16_t position = queue_->position().avail_index;
  Taken latest = std::move(taken_.back());
  taken_.pop_back();
  queue_->Unpop(std::move(latest.chain));
  HOLDS(queue_->position().avail_index == static_cast<uint16_t>(position - 1));
}

void RingFuzz::Publish() {
  HOLDS(queue_->Publish() == pushed_);
  if (std::exchange(pushed_, 0) > 0) HOLDS(used()[kUsedIdx] == used_next_);
}

void RingFuzz::Remap() {
  while (!taken_.empty()) Unpop();
  Publish();
  queue_->UnmapRings();
  if (input_.Byte() % 2 == 0) {
    map_.DropAll();
  } else {
    const uint64_t first = Address();
    map_.Drop(first, first + input_.Word());
  }
  memory_.device.FailLookups(input_.Byte() % 4 == 0 ? 1 : 0,
                             absl::ResourceExhaustedError(""));
  if (!queue_->MapRings()) HOLDS(!queue_->Pop());
  HOLDS(queue_->mapped() || queue_->MapRings());
}

void RingFuzz::Run() {
  size_ = 1U << (input_.Byte() % 7);
  HOLDS(size_ <= kMaxSize);
  const uint16_t base = input_.Word();
  const uint8_t options = input_.Byte();
  avail()[kAvailIdx] = base;
  used()[kUsedIdx] = base;
  const QueueInfo info{.size = size_,
                       .desc_addr = kRings,
                       .driver_addr = kRings + kPage,
                       .device_addr = kRings + 2 * kPage,
                       .position = {.avail_index = base},
                       .ready = true};
  queue_.emplace(*Virtqueue::Create(
      info, {.event_idx = (options & 1) != 0, .indirect = (options & 2) != 0},
      (options & 4) != 0 ? Virtqueue::Start::kRecovered
                         : Virtqueue::Start::kFresh,
      map_));
  used_next_ = base;

  for (int steps = 0; steps < 4096 && !input_.empty(); ++steps) {
    const uint8_t what = input_.Byte();
    switch (what % 16) {
      case 0:
      case 1:
        Pop();
        break;
      case 2:
        Push();
        break;
      case 3:
        Publish();
        break;
      case 4:
        Unpop();
        break;
      case 5:
        HOLDS(!queue_->EnableKicks() || !queue_->broken());
        break;
      case 6:
        queue_->DisableKicks();
        break;
      case 7:
        (void)queue_->NotificationWanted();
        break;
      case 8:
        Remap();
        break;
      default:
        DriverStep(what / 16);
    }
    if (queue_->broken()) HOLDS(!queue_->Pop() && !queue_->EnableKicks());
  }
  while (!taken_.empty()) Push();
  Publish();
}

}  // namespace
}  // namespace vduse

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto& memory = *new vduse::Memory;
  std::memset(memory.rings, 0, vduse::kRingsBytes);
  std::memset(memory.read_only, 0, vduse::kPage);
  std::memset(memory.write_only, 0, vduse::kPage);
  std::memset(memory.top, 0, vduse::kPage);
  memory.device.FailLookups(0, absl::OkStatus());
  vduse::Input input(data, size);
  vduse::RingFuzz(memory, input).Run();
  return 0;
}
