// SPDX-License-Identifier: Apache-2.0
#include "daemon/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/unique_fd.h"

namespace program {
namespace {

using coalesce::Params;
using coalesce::Source;
using Phase = net::DeviceState::Phase;

constexpr uint64_t kMagic = 0x3674656e65737564;  // "dusenet6"

// FNV-1a: finds torn and damaged slots, which is all it is for.
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

// False if it makes no sense.
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

}  // namespace

struct StateFile::Slot {
  struct Queue {
    SavedParams params;
    uint8_t source;
    uint8_t enabled;
    uint8_t padding[2];
  };
  uint64_t magic;
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
  uint32_t queue_count;     // with parameters
  uint32_t position_count;  // one more, with a control queue
  Queue queues[kMaxQueues];
  uint16_t positions[kMaxQueues];
  net::RxFilter rx_filter;
  uint8_t more_padding[5];
  uint64_t checksum;  // of all before it
};

struct StateFile::Layout {
  Slot slots[2];
  static_assert(std::has_unique_object_representations_v<Slot>, "padding");
};

StateFile::StateFile(StateFile&& other) noexcept
    : dir_(std::move(other.dir_)),
      name_(std::move(other.name_)),
      map_(std::exchange(other.map_, nullptr)) {}

StateFile::~StateFile() { Unmap(); }

void StateFile::Unmap() {
  if (map_ != nullptr) munmap(map_, sizeof(Layout));
  map_ = nullptr;
}

absl::StatusOr<StateFile> StateFile::Open(const std::string& dir,
                                          const std::string& name) {
  StateFile file(dir, name + ".state");
  if (absl::Status status = file.Reopen(); !status.ok()) return status;
  return file;
}

absl::Status StateFile::Reopen() {
  if (mkdir(dir_.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(
        errno, fmt::format("mkdir {} (choose another --state-dir)", dir_));
  }
  const base::UniqueFd dir(
      open(dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return absl::ErrnoToStatus(errno, "open " + dir_);
  const base::UniqueFd fd(openat(dir.get(), name_.c_str(),
                                 O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
                                 0600));
  if (!fd) return absl::ErrnoToStatus(errno, "open " + path());
  // A file cut short is filled up with zeros, which no slot accepts.
  if (ftruncate(fd.get(), sizeof(Layout)) != 0) {
    return absl::ErrnoToStatus(errno, "ftruncate " + path());
  }
  void* map = mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED,
                   fd.get(), 0);
  if (map == MAP_FAILED) return absl::ErrnoToStatus(errno, "mmap " + path());
  Unmap();
  map_ = static_cast<Layout*>(map);
  return absl::OkStatus();
}

bool StateFile::Valid(const Slot& slot) {
  return slot.magic == kMagic && slot.queue_count <= kMaxQueues &&
         slot.position_count <= kMaxQueues &&
         slot.checksum == Checksum(&slot, offsetof(Slot, checksum));
}

const StateFile::Slot* StateFile::Newest() const {
  const Slot* newest = nullptr;
  for (const Slot& slot : map_->slots) {
    if (!Valid(slot)) continue;
    if (newest == nullptr || slot.generation > newest->generation) {
      newest = &slot;
    }
  }
  return newest;
}

std::optional<SavedState> StateFile::Read() const {
  const Slot* slot = Newest();
  if (slot == nullptr) return std::nullopt;
  if (slot->phase > static_cast<uint8_t>(Phase::kRestored)) return std::nullopt;
  SavedState state{.features = slot->features,
                   .mac = slot->mac,
                   .mtu = slot->mtu,
                   .queue_size = slot->queue_size,
                   .tap_created = slot->tap_created != 0,
                   .operator_rx = std::nullopt,
                   .operator_tx = std::nullopt,
                   .device = {}};
  if (!Load(slot->operator_rx, state.operator_rx) ||
      !Load(slot->operator_tx, state.operator_tx)) {
    return std::nullopt;
  }
  net::DeviceState& device = state.device;
  device.phase = static_cast<Phase>(slot->phase);
  device.features = slot->negotiated;
  device.guest_offloads = slot->guest_offloads;
  if (slot->active_pairs == 0) return std::nullopt;
  device.active_pairs = slot->active_pairs;
  if (!slot->rx_filter.Valid()) return std::nullopt;
  device.rx_filter = slot->rx_filter;
  device.announce = slot->announce != 0;
  device.positions.assign(slot->positions,
                          slot->positions + slot->position_count);
  for (uint32_t i = 0; i < net::kGroups; ++i) {
    if (slot->asids[i] >= net::kAddressSpaces) return std::nullopt;
    device.asids[i] = slot->asids[i];
  }
  if (slot->has_all_rx != 0) device.coalescing.all_rx = Load(slot->all_rx);
  if (slot->has_all_tx != 0) device.coalescing.all_tx = Load(slot->all_tx);
  for (uint32_t i = 0; i < slot->queue_count; ++i) {
    const Slot::Queue& queue = slot->queues[i];
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

void StateFile::Write(const SavedState& state) {
  const Slot* newest = Newest();
  Slot next = {};
  next.magic = kMagic;
  next.generation = newest != nullptr ? newest->generation + 1 : 1;
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
  for (const uint16_t position : device.positions) {
    if (next.position_count == kMaxQueues) break;
    next.positions[next.position_count++] = position;
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
    if (next.queue_count == kMaxQueues) break;
    Slot::Queue& queue = next.queues[next.queue_count++];
    queue.params = Save(entry.params);
    queue.source = static_cast<uint8_t>(entry.source);
    queue.enabled = entry.enabled ? 1 : 0;
  }
  next.checksum = Checksum(&next, offsetof(Slot, checksum));
  Slot& to = newest == &map_->slots[0] ? map_->slots[1] : map_->slots[0];
  std::memcpy(&to, &next, sizeof(next));
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

void StateFile::Remove() { unlink(path().c_str()); }

}  // namespace program
