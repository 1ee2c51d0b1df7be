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

// The state that the successor of a killed process cannot get from the kernel.
struct SavedState {
  uint64_t features = 0;  // offered
  net::MacAddress mac{};
  uint16_t mtu = 0;
  uint16_t queue_size = 0;   // largest
  uint32_t queue_pairs = 1;  // known from the device, not saved
  bool tap_created = false;
  // The TAP's name on the command line, and the interface's identity: its index
  // in the network namespace whose inode is `tap_namespace`. 0: unknown.
  std::string tap_name;
  uint32_t tap_index = 0;
  uint64_t tap_namespace = 0;
  // The operator's settings made while the device ran.
  std::optional<coalesce::Setting> operator_rx;
  std::optional<coalesce::Setting> operator_tx;
  net::DeviceState device;
};

// The content of a state file: two slots, of which the newer valid one counts.
// The first 8 bytes name the layout, in this layout and all later ones.
inline constexpr int kStateLayout = 7;
inline constexpr uint32_t kMaxSavedQueues = 64;
inline constexpr size_t kTapNameBytes = 128;
size_t StateBytes();  // size of a file of this layout

// The layout of a file; nothing if it is not a state file or was never written.
std::optional<int> LayoutOf(std::span<const char> file);

// Decodes a file of this layout or an older one, from 6 on. Nothing if there is
// no state, or if it is damaged. Checks the format, not whether the values are
// plausible.
std::optional<SavedState> DecodeState(std::span<const char> file);

// Overwrites the older slot of `file`, which has StateBytes() bytes.
void EncodeState(const SavedState& state, std::span<char> file);

// Makes the checksums of both slots right, whatever they contain, for tests.
void CorrectChecksums(std::span<char> file);

// A file as the previous release wrote it, for tests.
std::string EncodeStateAsV6(const SavedState& state);

}  // namespace state

#endif  // VDUSE_NET_STATE_STATE_LAYOUT_H_
