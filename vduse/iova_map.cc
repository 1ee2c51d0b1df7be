// SPDX-License-Identifier: Apache-2.0
#include "vduse/iova_map.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "vduse/sigbus_guard.h"

namespace vduse {

IovaMap::IovaMap(Device& device)
    : cache_(device.regions()),
      poisons_seen_(SigbusGuard::poison_count()),
      shortage_seen_(cache_.shortage()) {}

IovaMap::~IovaMap() { DropAll(); }

IovaMap::Piece IovaMap::Find(uint64_t iova, uint64_t size, Access access) {
  Entry* entry = HitFor(iova);
  if (entry == nullptr || iova < entry->region.start ||
      iova > entry->region.last) {
    entry = Lookup(iova);
    if (entry == nullptr) entry = Load(iova);
    if (entry == nullptr) return {};
    HitFor(iova) = entry;
  }
  entry->used = step_;
  const Region& region = entry->region;
  const bool allowed =
      access == Access::kRead ? region.readable : region.writable;
  if (!allowed) return {};
  // `last` is inclusive and may be the last address of all.
  const uint64_t rest = region.last - iova;
  return {.data = region.base + (iova - region.start),
          .size = size - 1 > rest ? rest + 1 : size};
}

uint8_t* IovaMap::FindWhole(uint64_t iova, uint64_t size, Access access) {
  if (size == 0 || iova + (size - 1) < iova) return nullptr;
  const Piece piece = Find(iova, size, access);
  return piece.size == size ? piece.data : nullptr;
}

bool IovaMap::CopyIn(uint64_t iova, void* to, uint64_t size) {
  if (size == 0) return true;
  if (iova + (size - 1) < iova) return false;
  auto* out = static_cast<uint8_t*>(to);
  while (size > 0) {
    const Piece piece = Find(iova, size, Access::kRead);
    if (piece.data == nullptr) return false;
    std::memcpy(out, piece.data, piece.size);
    out += piece.size;
    iova += piece.size;
    size -= piece.size;
  }
  return true;
}

void IovaMap::SetAsid(uint32_t asid) {
  if (asid == asid_) return;
  DropAll();
  asid_ = asid;
}

template <typename Condition>
bool IovaMap::Forget(Condition condition) {
  const size_t forgotten = std::erase_if(
      entries_, [&](const auto& entry) { return condition(entry.second); });
  if (forgotten != 0) hits_.fill(nullptr);
  return forgotten != 0;
}

void IovaMap::Drop(uint64_t first, uint64_t last) {
  if (first > last) return;
  // The cache comes first: otherwise another map could get the region again.
  cache_.Drop(asid_, first, last);
  auto it = entries_.upper_bound(first);
  if (it != entries_.begin() && std::prev(it)->second.region.last >= first) {
    --it;
  }
  entries_.erase(it, entries_.upper_bound(last));
  hits_.fill(nullptr);
}

void IovaMap::DropAll() {
  Drop(0, UINT64_MAX);
  (void)TakeFault();  // of memory that was dropped
}

bool IovaMap::Trim() {
  ++step_;
  bool went = false;
  const uint64_t poisons = SigbusGuard::poison_count();
  if (std::exchange(poisons_seen_, poisons) != poisons) {
    // The handler has put a private page of zeros there. The region must be
    // mapped again, so that its next user finds the driver's page missing.
    cache_.DropPoisoned();
    went = Forget(
        [](const Entry& entry) { return entry.region.memory->poisoned(); });
  }
  const uint64_t shortage = cache_.shortage();
  if (std::exchange(shortage_seen_, shortage) != shortage) {
    went = ForgetLeastUsed() || went;
  }
  return went;
}

bool IovaMap::ForgetLeastUsed() {
  if (entries_.empty()) return false;
  std::vector<uint64_t> used;
  used.reserve(entries_.size());
  for (const auto& [start, entry] : entries_) used.push_back(entry.used);
  const auto quarter =
      used.begin() + static_cast<std::ptrdiff_t>(used.size() / 4);
  std::nth_element(used.begin(), quarter, used.end());
  const uint64_t latest = *quarter;
  size_t left = used.size() / 4 + 1;
  return Forget([&](const Entry& entry) {
    if (entry.used > latest || left == 0) return false;
    --left;
    cache_.Drop(asid_, entry.region.start, entry.region.start);
    return true;
  });
}

std::string IovaMap::TakeFault() {
  if (SigbusGuard::TakePoisoned()) {
    refusal_.clear();
    return "driver memory has no pages behind it (SIGBUS)";
  }
  return std::exchange(refusal_, std::string());
}

IovaMap::Entry* IovaMap::Lookup(uint64_t iova) {
  auto it = entries_.upper_bound(iova);
  if (it == entries_.begin()) return nullptr;
  --it;
  return iova <= it->second.region.last ? &it->second : nullptr;
}

IovaMap::Entry* IovaMap::Load(uint64_t iova) {
  absl::StatusOr<Region> region = cache_.Find(asid_, iova);
  if (!region.ok()) {
    if (absl::IsFailedPrecondition(region.status()) && refusal_.empty()) {
      refusal_ = std::string(region.status().message());
    }
    return nullptr;
  }
  // The kernel's answer may overlap cached regions if the driver has remapped
  // memory. The newer one is right, but pointers obtained in this step must
  // stay valid. Therefore an overlap is treated as not mapped until the update
  // message arrives.
  const auto next = entries_.upper_bound(region->start);
  const bool overlaps_next =
      next != entries_.end() && next->second.region.start <= region->last;
  const bool overlaps_previous =
      next != entries_.begin() &&
      std::prev(next)->second.region.last >= region->start;
  if (overlaps_next || overlaps_previous) return nullptr;
  const uint64_t start = region->start;
  return &entries_
              .emplace_hint(next, start,
                            Entry{.region = std::move(*region), .used = step_})
              ->second;
}

}  // namespace vduse
