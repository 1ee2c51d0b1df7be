// SPDX-License-Identifier: Apache-2.0
#include "state/state_layout.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <type_traits>

namespace state {
namespace {

using coalesce::Params;
using coalesce::Source;
using Phase = net::DeviceState::Phase;

// "dusenet" and a digit for the layout. A layout appends its new members to the
// previous layout.
constexpr uint64_t kMagic6 = 0x3674656e65737564;
constexpr uint64_t kMagic7 = 0x3774656e65737564;
constexpr char kMagicText[] = "dusenet";
constexpr size_t kDigitAt = sizeof(kMagicText) - 1;

// FNV-1a. It only has to find torn and damaged slots.
uint64_t Checksum(const void* data, size_t size) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto* bytes = static_cast<const uint8_t*>(data);
  for (size_t i = 0; i < size; ++i) {
    hash = (hash ^ bytes[i]) * 0x100000001b3;
  }
  return hash;
}

using coalesce::Goal;
using coalesce::Setting;

struct SavedParams {
  uint32_t max_packets;
  uint32_t max_usecs;
};

SavedParams Save(const Params& params) {
  return {.max_packets = params.max_packets, .max_usecs = params.max_usecs};
}

Params Load(const SavedParams& params) {
  return {.max_packets = params.max_packets, .max_usecs = params.max_usecs};
}

struct SavedSetting {
  SavedParams params;
  uint32_t goal_value;  // 0: none
  uint8_t goal_kind;
  uint8_t present;
  uint8_t padding[2];
};

SavedSetting Save(const std::optional<Setting>& setting) {
  SavedSetting saved = {};
  if (!setting) return saved;
  saved.present = 1;
  saved.params = Save(setting->params);
  if (setting->goal) {
    saved.goal_value = setting->goal->value;
    saved.goal_kind = static_cast<uint8_t>(setting->goal->kind);
  }
  return saved;
}

// False if the saved setting makes no sense.
bool Load(const SavedSetting& saved, std::optional<Setting>& setting) {
  if (saved.present == 0) return true;
  if (saved.goal_value > Goal::kMaxValue ||
      saved.goal_kind > static_cast<uint8_t>(Goal::Kind::kMaxRate)) {
    return false;
  }
  setting = Setting(Load(saved.params));
  if (saved.goal_value > 0) {
    setting->goal = Goal{.kind = static_cast<Goal::Kind>(saved.goal_kind),
                         .value = saved.goal_value};
  }
  return true;
}

struct SlotV6 {
  struct Queue {
    SavedParams params;
    uint8_t source;
    uint8_t enabled;
    uint8_t padding[2];
  };
  uint64_t magic;  // the slot's layout
  uint64_t generation;
  uint64_t features;
  uint64_t negotiated;
  uint64_t guest_offloads;
  net::MacAddress mac;
  uint16_t mtu;
  uint16_t queue_size;
  uint8_t tap_created;
  uint8_t phase;
  uint8_t has_all_rx;
  uint8_t has_all_tx;
  uint16_t active_pairs;
  uint8_t announce;
  uint8_t padding[7];
  SavedParams all_rx;
  SavedParams all_tx;
  SavedSetting operator_rx;
  SavedSetting operator_tx;
  uint32_t asids[net::kGroups];
  uint32_t queue_count;     // number of `queues`
  uint32_t position_count;  // number of `positions`, control queue included
  Queue queues[kMaxSavedQueues];
  uint16_t positions[kMaxSavedQueues];
  net::RxFilter rx_filter;
  uint8_t more_padding[5];
  uint64_t checksum;  // over all before it; unused in later layouts
};

struct SlotV7 {
  SlotV6 base;
  char tap_name[kTapNameBytes];
  uint64_t tap_namespace;
  uint32_t tap_index;
  uint8_t padding[4];
  uint64_t checksum;  // over all before it
};
static_assert(std::has_unique_object_representations_v<SlotV7>, "padding");

template <typename Slot>
bool Valid(const Slot& slot, const SlotV6& base, uint64_t magic) {
  return base.magic == magic && base.queue_count <= kMaxSavedQueues &&
         base.position_count <= kMaxSavedQueues &&
         slot.checksum == Checksum(&slot, offsetof(Slot, checksum));
}

std::optional<SavedState> Decode(const SlotV6& slot) {
  if (slot.phase > static_cast<uint8_t>(Phase::kRestored)) return std::nullopt;
  SavedState state;
  state.features = slot.features;
  state.mac = slot.mac;
  state.mtu = slot.mtu;
  state.queue_size = slot.queue_size;
  state.tap_created = slot.tap_created != 0;
  if (!Load(slot.operator_rx, state.operator_rx) ||
      !Load(slot.operator_tx, state.operator_tx)) {
    return std::nullopt;
  }
  net::DeviceState& device = state.device;
  device.phase = static_cast<Phase>(slot.phase);
  device.features = slot.negotiated;
  device.guest_offloads = slot.guest_offloads;
  if (slot.active_pairs == 0) return std::nullopt;
  device.active_pairs = slot.active_pairs;
  if (!slot.rx_filter.Valid()) return std::nullopt;
  device.rx_filter = slot.rx_filter;
  device.announce = slot.announce != 0;
  for (uint32_t i = 0; i < slot.position_count; ++i) {
    device.positions.push_back({.avail_index = slot.positions[i]});
  }
  for (uint32_t i = 0; i < net::kGroups; ++i) {
    if (slot.asids[i] >= net::kAddressSpaces) return std::nullopt;
    device.asids[i] = slot.asids[i];
  }
  if (slot.has_all_rx != 0) device.coalescing.all_rx = Load(slot.all_rx);
  if (slot.has_all_tx != 0) device.coalescing.all_tx = Load(slot.all_tx);
  for (uint32_t i = 0; i < slot.queue_count; ++i) {
    const SlotV6::Queue& queue = slot.queues[i];
    if (queue.source > static_cast<uint8_t>(Source::kDriverQueue)) {
      return std::nullopt;
    }
    device.coalescing.queues.push_back(
        {.params = Load(queue.params),
         .source = static_cast<Source>(queue.source),
         .enabled = queue.enabled != 0});
  }
  return state;
}

std::optional<SavedState> Decode(const SlotV7& slot) {
  std::optional<SavedState> state = Decode(slot.base);
  if (!state) return state;
  state->tap_name.assign(slot.tap_name,
                         strnlen(slot.tap_name, sizeof(slot.tap_name)));
  state->tap_index = slot.tap_index;
  state->tap_namespace = slot.tap_namespace;
  return state;
}

SlotV6 Encode(const SavedState& state) {
  SlotV6 next = {};
  next.features = state.features;
  next.mac = state.mac;
  next.mtu = state.mtu;
  next.queue_size = state.queue_size;
  next.tap_created = state.tap_created ? 1 : 0;
  next.operator_rx = Save(state.operator_rx);
  next.operator_tx = Save(state.operator_tx);
  const net::DeviceState& device = state.device;
  next.phase = static_cast<uint8_t>(device.phase);
  next.negotiated = device.features;
  next.guest_offloads = device.guest_offloads;
  next.active_pairs = device.active_pairs;
  next.rx_filter = device.rx_filter;
  next.announce = device.announce ? 1 : 0;
  std::copy(device.asids.begin(), device.asids.end(), next.asids);
  for (const vduse::QueuePosition position : device.positions) {
    if (next.position_count == kMaxSavedQueues) break;
    next.positions[next.position_count++] = position.avail_index;
  }
  if (device.coalescing.all_rx) {
    next.has_all_rx = 1;
    next.all_rx = Save(*device.coalescing.all_rx);
  }
  if (device.coalescing.all_tx) {
    next.has_all_tx = 1;
    next.all_tx = Save(*device.coalescing.all_tx);
  }
  for (const auto& entry : device.coalescing.queues) {
    if (next.queue_count == kMaxSavedQueues) break;
    SlotV6::Queue& queue = next.queues[next.queue_count++];
    queue.params = Save(entry.params);
    queue.source = static_cast<uint8_t>(entry.source);
    queue.enabled = entry.enabled ? 1 : 0;
  }
  return next;
}

// The newer of the two slots of one layout at the start of a file, which may be
// shorter than that.
template <typename Slot, typename Base>
std::optional<Slot> Newest(std::span<const char> file, uint64_t magic,
                           Base base_of) {
  std::optional<Slot> newest;
  for (size_t at = 0; at <= sizeof(Slot) && at + sizeof(Slot) <= file.size();
       at += sizeof(Slot)) {
    Slot slot;
    std::memcpy(&slot, file.data() + at, sizeof(slot));
    if (!Valid(slot, base_of(slot), magic)) continue;
    if (!newest || base_of(slot).generation > base_of(*newest).generation) {
      newest = slot;
    }
  }
  return newest;
}

const SlotV6& BaseOf6(const SlotV6& slot) { return slot; }
const SlotV6& BaseOf7(const SlotV7& slot) { return slot.base; }

}  // namespace

size_t StateBytes() { return 2 * sizeof(SlotV7); }

std::optional<int> LayoutOf(std::span<const char> file) {
  if (file.size() <= kDigitAt ||
      std::memcmp(file.data(), kMagicText, kDigitAt) != 0) {
    return std::nullopt;
  }
  return file[kDigitAt] - '0';
}

std::optional<SavedState> DecodeState(std::span<const char> file) {
  if (const auto slot = Newest<SlotV7>(file, kMagic7, BaseOf7)) {
    return Decode(*slot);
  }
  if (const auto slot = Newest<SlotV6>(file, kMagic6, BaseOf6)) {
    return Decode(*slot);
  }
  return std::nullopt;
}

void EncodeState(const SavedState& state, std::span<char> file) {
  const auto newest = Newest<SlotV7>(file, kMagic7, BaseOf7);
  SlotV7 next = {};
  next.base = Encode(state);
  next.base.magic = kMagic7;
  next.base.generation = newest ? newest->base.generation + 1 : 1;
  std::memcpy(next.tap_name, state.tap_name.data(),
              std::min(state.tap_name.size(), sizeof(next.tap_name) - 1));
  next.tap_index = state.tap_index;
  next.tap_namespace = state.tap_namespace;
  next.checksum = Checksum(&next, offsetof(SlotV7, checksum));
  // Overwrite the older slot, or an invalid one.
  SlotV7 first;
  std::memcpy(&first, file.data(), sizeof(first));
  const bool first_is_newest = newest && Valid(first, first.base, kMagic7) &&
                               first.base.generation == newest->base.generation;
  std::memcpy(file.data() + (first_is_newest ? sizeof(next) : 0), &next,
              sizeof(next));
}

void CorrectChecksums(std::span<char> file) {
  for (size_t at = 0; at + sizeof(SlotV7) <= file.size();
       at += sizeof(SlotV7)) {
    SlotV7 slot;
    std::memcpy(&slot, file.data() + at, sizeof(slot));
    slot.checksum = Checksum(&slot, offsetof(SlotV7, checksum));
    std::memcpy(file.data() + at, &slot, sizeof(slot));
  }
}

std::string EncodeStateAsV6(const SavedState& state) {
  SlotV6 slot = Encode(state);
  slot.magic = kMagic6;
  slot.generation = 1;
  slot.checksum = Checksum(&slot, offsetof(SlotV6, checksum));
  std::string file(2 * sizeof(slot), 0);
  std::memcpy(file.data(), &slot, sizeof(slot));
  return file;
}

}  // namespace state
