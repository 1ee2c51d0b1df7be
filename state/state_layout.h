// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_STATE_STATE_LAYOUT_H_
#define VDUSE_NET_STATE_STATE_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "net/device/device_state.h"
#include "net/wire/config_space.h"

namespace state {

// What a successor of a killed process cannot ask the kernel for.
struct SavedState {
  uint64_t features = 0;  // offered
  net::MacAddress mac{};
  uint16_t mtu = 0;
  uint16_t queue_size = 0;   // largest
  uint32_t queue_pairs = 1;  // by what the device is, not kept
  bool tap_created = false;
  // The TAP as the command line had it, and which it is: its index in a
  // network namespace, of which this is the inode. 0: not known.
  std::string tap_name;
  uint32_t tap_index = 0;
  uint64_t tap_namespace = 0;
  // What the operator has said while the device ran.
  std::optional<coalesce::Setting> operator_rx;
  std::optional<coalesce::Setting> operator_tx;
  net::DeviceState device;
};

// A state file's bytes: two slots, of which the newer valid one counts. The
// first 8 bytes say which layout that is, in this and all later ones.
inline constexpr int kStateLayout = 7;
inline constexpr uint32_t kMaxSavedQueues = 64;
inline constexpr size_t kTapNameBytes = 128;
size_t StateBytes();  // of this layout

// Nothing if it is no state file, or was never written.
std::optional<int> LayoutOf(std::span<const char> file);

// Of this layout or of an older one, from 6 on. Nothing if there is none, or
// what there is was damaged. Checked for form, not for sense.
std::optional<SavedState> DecodeState(std::span<const char> file);

// Writes over the older slot of `file`, which has StateBytes().
void EncodeState(const SavedState& state, std::span<char> file);

// As a process of the release before wrote it: for tests.
std::string EncodeStateAsV6(const SavedState& state);

}  // namespace state

#endif  // VDUSE_NET_STATE_STATE_LAYOUT_H_
