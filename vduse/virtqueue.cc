// SPDX-License-Identifier: Apache-2.0
#include "vduse/virtqueue.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cassert>

namespace vduse {
namespace {

// Indirect tables may be longer than the ring: Linux never makes such tables,
// but other drivers do. This bounds the copy.
constexpr uint32_t kMinIndirectEntries = 1024;

template <typename T>
T Load(const T* from, std::memory_order order = std::memory_order_relaxed) {
  // atomic_ref takes no const type before C++26; nothing is written.
  return std::atomic_ref<T>(*const_cast<T*>(from)).load(order);
}

template <typename T>
void Store(T* to, T value,
           std::memory_order order = std::memory_order_relaxed) {
  std::atomic_ref<T>(*to).store(value, order);
}

absl::Status BadQueue(const std::string& text) {
  return absl::InvalidArgumentError(text);
}

absl::Status CheckArea(const char* name, uint64_t addr, uint64_t bytes,
                       uint64_t align) {
  if (addr % align != 0) {
    return BadQueue(fmt::format("{} at {:#x} is not aligned to {} bytes", name,
                                addr, align));
  }
  if (addr + (bytes - 1) < addr) {
    return BadQueue(
        fmt::format("{} at {:#x} wraps the address space", name, addr));
  }
  return absl::OkStatus();
}

}  // namespace

// What Parse() collects from the descriptors of one chain.
struct Virtqueue::Parsed {
  uint32_t in_ring = 0;      // descriptors of the ring itself
  uint32_t in_table = 0;     // descriptors of a table that was copied
  uint32_t descriptors = 0;  // direct and indirect
  uint32_t segments = 0;     // all segments; the readable ones come first
  uint32_t readable = 0;     // readable segments
  uint64_t readable_bytes = 0;
  uint64_t writable_bytes = 0;
  bool seen_writable = false;
};

absl::StatusOr<Virtqueue> Virtqueue::Create(const QueueInfo& info,
                                            Features features, Start start,
                                            IovaMap& map) {
  if (info.size == 0 || info.size > kMaxQueueSize ||
      !std::has_single_bit(info.size)) {
    return BadQueue(
        fmt::format("queue size {} is not a power of 2 from 1 to {}", info.size,
                    kMaxQueueSize));
  }
  const bool event_idx = features.event_idx;
  absl::Status area = CheckArea("descriptor area", info.desc_addr,
                                DescBytes(info.size), kDescAlign);
  area.Update(CheckArea("available ring", info.driver_addr,
                        AvailBytes(info.size, event_idx), kAvailAlign));
  area.Update(CheckArea("used ring", info.device_addr,
                        UsedBytes(info.size, event_idx), kUsedAlign));
  if (!area.ok()) return area;

  Virtqueue queue(info, features, map);
  if (!queue.MapRings()) {
    if (std::string fault = map.TakeFault(); !fault.empty()) {
      return absl::FailedPreconditionError(fault);
    }
    return absl::UnavailableError(fmt::format(
        "rings (descriptors {:#x}, available {:#x}, used {:#x}, size {}) are "
        "not mapped with the access needed, each within one region",
        info.desc_addr, info.driver_addr, info.device_addr, info.size));
  }
  const uint16_t index = start == Start::kRecovered ? queue.UsedWord(kUsedIdx)
                                                    : info.position.avail_index;
  queue.last_avail_ = index;
  queue.avail_seen_ = index;
  queue.used_next_ = index;
  queue.published_ = index;
  return queue;
}

Virtqueue::Virtqueue(const QueueInfo& info, Features features, IovaMap& map)
    : map_(&map),
      size_(info.size),
      features_(features),
      desc_addr_(info.desc_addr),
      avail_addr_(info.driver_addr),
      used_addr_(info.device_addr),
      segments_(kMaxSegments),
      indirect_(std::max(info.size, kMinIndirectEntries)) {}

bool Virtqueue::MapRings() {
  uint8_t* desc = map_->FindWhole(desc_addr_, DescBytes(size_), Access::kRead);
  uint8_t* avail = map_->FindWhole(
      avail_addr_, AvailBytes(size_, features_.event_idx), Access::kRead);
  uint8_t* used = map_->FindWhole(
      used_addr_, UsedBytes(size_, features_.event_idx), Access::kWrite);
  if (desc == nullptr || avail == nullptr || used == nullptr) return false;
  // A region may begin at an odd offset of its file, so an address that is
  // aligned for the driver need not be aligned here.
  if (reinterpret_cast<uintptr_t>(desc) % alignof(uint64_t) != 0 ||
      reinterpret_cast<uintptr_t>(avail) % kAvailAlign != 0 ||
      reinterpret_cast<uintptr_t>(used) % kUsedAlign != 0) {
    return false;
  }
  desc_ = desc;
  avail_ = reinterpret_cast<uint16_t*>(avail);
  used_ = reinterpret_cast<uint16_t*>(used);
  return true;
}

void Virtqueue::UnmapRings() {
  assert(outstanding_ == 0);
  desc_ = nullptr;
  avail_ = nullptr;
  used_ = nullptr;
}

void Virtqueue::Break(std::string reason) {
  if (broken_.empty()) broken_ = std::move(reason);
}

bool Virtqueue::RefreshAvailable() {
  const uint16_t idx = Load(avail_ + kAvailIdx, std::memory_order_acquire);
  if (static_cast<uint16_t>(idx - used_next_) > size_ ||
      static_cast<uint16_t>(idx - used_next_) <
          static_cast<uint16_t>(last_avail_ - used_next_)) {
    Break(fmt::format("available index {} with {} used and a ring of {}", idx,
                      used_next_, size_));
    return false;
  }
  avail_seen_ = idx;
  return idx != last_avail_;
}

bool Virtqueue::Pop(Chain& chain) {
  assert(!chain.owed_);
  out_of_segments_ = false;
  if (broken() || !mapped()) return false;
  if (avail_seen_ == last_avail_ && !RefreshAvailable()) return false;

  const uint16_t head = Load(avail_ + kAvailRing + (last_avail_ & (size_ - 1)));
  if (head >= size_) {
    Break(fmt::format("available entry {} names descriptor {} in a ring of {}",
                      last_avail_, head, size_));
    return false;
  }
  Parsed parsed;
  const ChainError error = Parse(head, parsed);
  walked_ += parsed.in_ring + parsed.in_table;
  if (error == ChainError::kTooManySegments && outstanding_ > 0) {
    out_of_segments_ = true;  // it may fit when other chains are returned
    return false;
  }
  if (error != ChainError::kNone) parsed = {.in_ring = parsed.in_ring};
  const iovec* first = segments_.data() + segments_used_;
  chain.readable_ = {first, parsed.readable};
  chain.writable_ = {first + parsed.readable,
                     parsed.segments - parsed.readable};
  chain.readable_bytes_ = parsed.readable_bytes;
  chain.writable_bytes_ = parsed.writable_bytes;
  chain.slots_ = parsed.in_ring;
  chain.id_ = head;
  chain.error_ = error;
  chain.owed_ = true;
  segments_used_ += parsed.segments;
  ++outstanding_;
  ++last_avail_;
  return true;
}

ChainError Virtqueue::Parse(uint16_t head, Parsed& parsed) {
  uint16_t index = head;
  while (true) {
    const Desc desc = LoadDesc(index);
    ++parsed.in_ring;
    if ((desc.flags & kDescIndirect) != 0) {
      return ParseIndirect(desc, parsed);  // the end of the chain (2.7.5.3.1)
    }
    if (++parsed.descriptors > size_) return ChainError::kTooLong;
    const ChainError error = AddSegment(desc, parsed);
    if (error != ChainError::kNone) return error;
    if ((desc.flags & kDescNext) == 0) return ChainError::kNone;
    if (desc.next >= size_) return ChainError::kDescriptorIndex;
    index = desc.next;
  }
}

ChainError Virtqueue::ParseIndirect(const Desc& table, Parsed& parsed) {
  // On a descriptor that refers to a table, WRITE is ignored (2.7.5.3.2).
  if (!features_.indirect || (table.flags & kDescNext) != 0 || table.len == 0 ||
      table.len % sizeof(Desc) != 0) {
    return ChainError::kIndirect;
  }
  const uint32_t count = table.len / static_cast<uint32_t>(sizeof(Desc));
  if (count > indirect_.size() ||
      parsed.descriptors + count > indirect_.size()) {
    return ChainError::kTooLong;
  }
  parsed.in_table = count;
  if (!map_->CopyIn(table.addr, indirect_.data(), table.len)) {
    return ChainError::kAddress;
  }
  uint32_t index = 0;
  for (uint32_t walked = 0; walked < count; ++walked) {
    const Desc& desc = indirect_[index];
    if ((desc.flags & kDescIndirect) != 0) return ChainError::kIndirect;
    ++parsed.descriptors;
    const ChainError error = AddSegment(desc, parsed);
    if (error != ChainError::kNone) return error;
    if ((desc.flags & kDescNext) == 0) return ChainError::kNone;
    if (desc.next >= count) return ChainError::kDescriptorIndex;
    index = desc.next;
  }
  return ChainError::kTooLong;
}

ChainError Virtqueue::AddSegment(const Desc& desc, Parsed& parsed) {
  const bool writable = (desc.flags & kDescWrite) != 0;
  if (!writable && parsed.seen_writable) return ChainError::kOrder;
  parsed.seen_writable = writable;
  // A descriptor without bytes has no address to check.
  if (desc.len == 0) return ChainError::kNone;
  if (desc.addr + (desc.len - 1) < desc.addr) return ChainError::kAddress;

  uint64_t& bytes = writable ? parsed.writable_bytes : parsed.readable_bytes;
  bytes += desc.len;
  if (parsed.readable_bytes + parsed.writable_bytes > UINT32_MAX) {
    return ChainError::kLength;
  }
  uint64_t iova = desc.addr;
  uint64_t rest = desc.len;
  while (rest > 0) {
    const IovaMap::Piece piece =
        map_->Find(iova, rest, writable ? Access::kWrite : Access::kRead);
    if (piece.data == nullptr) return ChainError::kAddress;
    if (segments_used_ + parsed.segments >= kMaxSegments) {
      return ChainError::kTooManySegments;
    }
    segments_[segments_used_ + parsed.segments] = {.iov_base = piece.data,
                                                   .iov_len = piece.size};
    ++parsed.segments;
    if (!writable) ++parsed.readable;
    iova += piece.size;
    rest -= piece.size;
  }
  return ChainError::kNone;
}

void Virtqueue::Unpop(Chain chain) {
  assert(outstanding_ > 0);
  chain.owed_ = false;
  --outstanding_;
  --last_avail_;
  segments_used_ -=
      static_cast<uint32_t>(chain.readable_.size() + chain.writable_.size());
  if (outstanding_ == 0) segments_used_ = 0;
}

void Virtqueue::Push(Chain&& chain, uint64_t written) {
  assert(outstanding_ > 0);
  chain.owed_ = false;
  --outstanding_;
  if (outstanding_ == 0) segments_used_ = 0;
  if (chain.malformed()) ++chain_errors_[static_cast<size_t>(chain.error())];
  // Never report more than the driver's writable bytes (2.7.8.2).
  const uint64_t len = std::min(written, chain.writable_bytes_);
  StoreUsedElem(used_next_,
                {.id = chain.id_, .len = static_cast<uint32_t>(len)});
  ++used_next_;
}

uint32_t Virtqueue::Publish() {
  const auto entries = static_cast<uint16_t>(used_next_ - published_);
  if (entries == 0 || !mapped()) return 0;
  published_ = used_next_;
  Store(used_ + kUsedIdx, published_, std::memory_order_release);
  return entries;
}

bool Virtqueue::NotificationWanted() {
  if (!mapped()) return false;
  // The store of used.idx must be visible before the driver's flags or
  // used_event are read (2.7.7.2).
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const uint16_t old_index = signalled_;
  signalled_ = published_;
  if (!std::exchange(signalled_known_, true)) return true;
  if (!features_.event_idx) {
    return (LoadAvail(kAvailFlags) & kAvailNoInterrupt) == 0;
  }
  return PassedEvent(LoadAvail(UsedEventWord()), published_, old_index);
}

bool Virtqueue::EnableKicks() {
  if (broken() || !mapped()) return false;
  if (features_.event_idx) {
    Store(used_ + AvailEventWord(), last_avail_);
  } else {
    Store(used_ + kUsedFlags, uint16_t{0});
  }
  // The request for kicks must be visible before available entries are looked
  // for again (2.7.10.1).
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return RefreshAvailable();
}

void Virtqueue::DisableKicks() {
  // With EVENT_IDX the stale avail_event suppresses kicks until the index
  // wraps.
  if (features_.event_idx || !mapped()) return;
  Store(used_ + kUsedFlags, kUsedNoNotify);
}

void Virtqueue::PushUnusableEntry() {
  if (!mapped()) return;
  StoreUsedElem(used_next_, {.id = 0xffff, .len = 0});
  ++used_next_;
  Publish();
}

Desc Virtqueue::LoadDesc(uint16_t index) const {
  const auto* desc = reinterpret_cast<const Desc*>(desc_) + index;
  return {.addr = Load(&desc->addr),
          .len = Load(&desc->len),
          .flags = Load(&desc->flags),
          .next = Load(&desc->next)};
}

uint16_t Virtqueue::LoadAvail(size_t word) const { return Load(avail_ + word); }

uint16_t Virtqueue::UsedWord(size_t word) const { return Load(used_ + word); }

void Virtqueue::StoreUsedElem(uint16_t index, UsedElem elem) {
  auto* ring = reinterpret_cast<UsedElem*>(reinterpret_cast<uint8_t*>(used_) +
                                           kUsedRingOffset);
  UsedElem* to = ring + (index & (size_ - 1));
  Store(&to->id, elem.id);
  Store(&to->len, elem.len);
}

}  // namespace vduse
