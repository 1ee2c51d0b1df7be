// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_driver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace tests {
namespace {

using vduse::Desc;

uint64_t RoundUp(uint64_t value, uint64_t to) {
  return (value + to - 1) / to * to;
}

uint16_t LoadWord(uint8_t* area, size_t word) {
  return std::atomic_ref(reinterpret_cast<uint16_t*>(area)[word]).load();
}

void StoreWord(uint8_t* area, size_t word, uint16_t value) {
  std::atomic_ref(reinterpret_cast<uint16_t*>(area)[word]).store(value);
}

// Links descriptor i to `next(i)` where another follows.
template <typename Next>
void Link(std::span<Desc> chain, Next next) {
  for (size_t i = 0; i + 1 < chain.size(); ++i) {
    chain[i].flags |= vduse::kDescNext;
    chain[i].next = next(i);
  }
}

}  // namespace

uint64_t DriverMemory::Allocate(uint64_t size, uint64_t align) {
  size = std::max<uint64_t>(RoundUp(size, 64), 64);
  std::vector<uint64_t>& same_size = free_[size];
  if (!same_size.empty() && same_size.back() % align == 0) {
    const uint64_t iova = same_size.back();
    same_size.pop_back();
    return iova;
  }
  const uint64_t iova = RoundUp(start_ + next_, align);
  if (iova + size > start_ + size_) {
    fprintf(stderr, "DriverMemory: no room for %llu bytes\n",
            static_cast<unsigned long long>(size));
    abort();
  }
  next_ = iova + size - start_;
  return iova;
}

void DriverMemory::Free(uint64_t iova, uint64_t size) {
  free_[std::max<uint64_t>(RoundUp(size, 64), 64)].push_back(iova);
}

DriverQueue::DriverQueue(DriverHost& host, DriverMemory& memory,
                         Options options)
    : host_(host), memory_(memory), options_(options) {
  const uint32_t entries = options.size;
  info_.size = entries;
  info_.desc_addr = memory.Allocate(vduse::DescBytes(entries));
  info_.driver_addr = memory.Allocate(vduse::AvailBytes(entries, true));
  info_.device_addr = memory.Allocate(vduse::UsedBytes(entries, true));
  Restart(options.base);
}

void DriverQueue::Restart(uint16_t base) {
  for (const auto& [head, built] : built_) {
    for (const Buffer& buffer : built.owned) {
      memory_.Free(buffer.iova, buffer.size);
    }
  }
  built_.clear();
  outstanding_count_ = 0;
  std::memset(memory_.At(info_.desc_addr), 0, vduse::DescBytes(size()));
  std::memset(memory_.At(info_.driver_addr), 0,
              vduse::AvailBytes(size(), true));
  std::memset(memory_.At(info_.device_addr), 0, vduse::UsedBytes(size(), true));
  free_.clear();
  for (uint32_t i = 0; i < size(); ++i) {
    free_.push_back(static_cast<uint16_t>(i));
  }
  avail_next_ = used_next_ = kicked_at_ = base;
  StoreAvail(vduse::kAvailIdx, base);
  StoreUsed(vduse::kUsedIdx, base);
  info_.position = {.avail_index = base};
  info_.ready = true;
  host_.SetQueue(options_.index, info_);
}

ChainBuilder DriverQueue::Chain() { return ChainBuilder(*this); }

void DriverQueue::OfferHead(uint16_t head, uint64_t writable) {
  auto [it, fresh] = built_.try_emplace(head);
  if (fresh) it->second.writable_bytes = writable;
  ++it->second.offered;
  ++outstanding_count_;
  StoreAvail(vduse::kAvailRing + (avail_next_ & (size() - 1)), head);
  ++avail_next_;
  StoreAvail(vduse::kAvailIdx, avail_next_);
}

bool DriverQueue::KickIfWanted() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const uint16_t from = std::exchange(kicked_at_, avail_next_);
  bool wanted = false;
  if (options_.event_idx) {
    // 2.7.10.1, step by step: is avail_event one of the new entries?
    for (uint16_t i = from; i != avail_next_; ++i) {
      if (i == avail_event()) wanted = true;
    }
  } else {
    wanted = from != avail_next_ && !KicksDisabled();
  }
  if (wanted) Kick();
  return wanted;
}

bool DriverQueue::KicksDisabled() {
  return (LoadUsed(vduse::kUsedFlags) & vduse::kUsedNoNotify) != 0;
}

std::optional<UsedEntry> DriverQueue::TakeUsed() {
  const uint16_t idx = used_idx();
  if (idx == used_next_) return std::nullopt;
  const auto ahead = static_cast<uint16_t>(idx - used_next_);
  EXPECT_LE(ahead, outstanding_count_) << "more used than were offered";
  const vduse::UsedElem elem = used_elem(used_next_++);
  UsedEntry entry{.id = elem.id, .len = elem.len, .bytes = {}};
  const auto it = elem.id < size() ? built_.find(static_cast<uint16_t>(elem.id))
                                   : built_.end();
  if (it == built_.end() || it->second.offered == 0) {
    ADD_FAILURE() << "used entry names " << elem.id
                  << ", which is not outstanding";
    return entry;
  }
  const Built& built = it->second;
  if (elem.len > built.writable_bytes) {
    ADD_FAILURE() << "used entry claims " << elem.len << " bytes of "
                  << built.writable_bytes;
    return entry;
  }
  for (const Buffer& part : built.writable) {
    const uint64_t rest = elem.len - entry.bytes.size();
    if (rest == 0) break;
    const uint64_t size = std::min(part.size, rest);
    if (memory_.Holds(part.iova, size)) {
      const uint8_t* bytes = memory_.At(part.iova);
      entry.bytes.insert(entry.bytes.end(), bytes, bytes + size);
      continue;
    }
    const auto bytes = host_.Peek(part.iova, size);
    entry.bytes.insert(entry.bytes.end(), bytes.begin(), bytes.end());
  }
  Retire(it->first);
  return entry;
}

uint32_t DriverQueue::DrainUsed() {
  uint32_t taken = 0;
  while (TakeUsed()) ++taken;
  return taken;
}

void DriverQueue::Retire(uint16_t head) {
  --outstanding_count_;
  const auto it = built_.find(head);
  if (--it->second.offered > 0) return;
  for (const Buffer& buffer : it->second.owned) {
    memory_.Free(buffer.iova, buffer.size);
  }
  for (const uint16_t index : it->second.descriptors) free_.push_back(index);
  built_.erase(it);
}

void DriverQueue::SetNoInterrupt(bool no_interrupt) {
  StoreAvail(vduse::kAvailFlags,
             no_interrupt ? vduse::kAvailNoInterrupt : uint16_t{0});
}

void DriverQueue::SetUsedEvent(uint16_t event) {
  StoreAvail(UsedEventWord(), event);
}

Desc& DriverQueue::desc(uint32_t index) {
  return reinterpret_cast<Desc*>(memory_.At(info_.desc_addr))[index];
}

std::span<Desc> DriverQueue::table(uint16_t head) {
  const Desc& named = desc(head);
  return {reinterpret_cast<Desc*>(memory_.At(named.addr)),
          named.len / sizeof(Desc)};
}

uint16_t DriverQueue::LoadAvail(size_t word) {
  return LoadWord(memory_.At(info_.driver_addr), word);
}

void DriverQueue::StoreAvail(size_t word, uint16_t value) {
  StoreWord(memory_.At(info_.driver_addr), word, value);
}

uint16_t DriverQueue::LoadUsed(size_t word) {
  return LoadWord(memory_.At(info_.device_addr), word);
}

void DriverQueue::StoreUsed(size_t word, uint16_t value) {
  StoreWord(memory_.At(info_.device_addr), word, value);
}

vduse::UsedElem DriverQueue::used_elem(uint16_t index) {
  const auto* ring = reinterpret_cast<vduse::UsedElem*>(
      memory_.At(info_.device_addr) + vduse::kUsedRingOffset);
  return ring[index & (size() - 1)];
}

uint16_t DriverQueue::TakeDescriptor() {
  if (free_.empty()) {
    fprintf(stderr, "DriverQueue: out of descriptors\n");
    abort();
  }
  const uint16_t index = free_.front();
  free_.pop_front();
  return index;
}

uint64_t ChainBuilder::Allocate(uint64_t bytes) {
  const uint64_t iova = queue_.memory_.Allocate(bytes);
  built_.owned.push_back({iova, bytes});
  return iova;
}

ChainBuilder& ChainBuilder::Readable(std::span<const uint8_t> bytes) {
  const uint64_t iova = Allocate(bytes.size());
  if (!bytes.empty()) {
    std::memcpy(queue_.memory_.At(iova), bytes.data(), bytes.size());
  }
  return ReadableAt(iova, static_cast<uint32_t>(bytes.size()));
}

ChainBuilder& ChainBuilder::Readable(std::string_view text) {
  return Readable(
      std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

ChainBuilder& ChainBuilder::Writable(uint32_t bytes) {
  return WritableAt(Allocate(bytes), bytes);
}

ChainBuilder& ChainBuilder::ReadableAt(uint64_t iova, uint32_t bytes) {
  return Raw({.addr = iova, .len = bytes, .flags = 0, .next = 0});
}

ChainBuilder& ChainBuilder::WritableAt(uint64_t iova, uint32_t bytes) {
  return Raw(
      {.addr = iova, .len = bytes, .flags = vduse::kDescWrite, .next = 0});
}

ChainBuilder& ChainBuilder::Raw(Desc desc) {
  if ((desc.flags & (vduse::kDescWrite | vduse::kDescIndirect)) ==
      vduse::kDescWrite) {
    built_.writable.push_back({desc.addr, desc.len});
    built_.writable_bytes += desc.len;
  }
  (indirect_ ? table_ : direct_).push_back(desc);
  return *this;
}

ChainBuilder& ChainBuilder::Indirect() {
  indirect_ = true;
  return *this;
}

uint16_t ChainBuilder::Build() {
  if (indirect_) {
    Link(table_, [](size_t i) { return static_cast<uint16_t>(i + 1); });
    const auto bytes = static_cast<uint32_t>(table_.size() * sizeof(Desc));
    const uint64_t iova = Allocate(bytes);
    std::memcpy(queue_.memory_.At(iova), table_.data(), bytes);
    direct_.push_back(
        {.addr = iova, .len = bytes, .flags = vduse::kDescIndirect, .next = 0});
  }
  for (size_t i = 0; i < direct_.size(); ++i) {
    built_.descriptors.push_back(queue_.TakeDescriptor());
  }
  Link(direct_, [&](size_t i) { return built_.descriptors[i + 1]; });
  for (size_t i = 0; i < direct_.size(); ++i) {
    queue_.desc(built_.descriptors[i]) = direct_[i];
  }
  const uint16_t head = built_.descriptors.front();
  queue_.built_[head] = std::move(built_);
  return head;
}

uint16_t ChainBuilder::Offer() {
  const uint16_t head = Build();
  queue_.OfferHead(head);
  return head;
}

}  // namespace tests
