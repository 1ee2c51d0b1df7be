// SPDX-License-Identifier: Apache-2.0
//
// Reads what an earlier process has left, or another host has sent. The first
// byte of the input says what the rest is:
//   0  a state file
//   1  the same, with right checksums
//   2  the text of a state that moves to another host
// Beside what the sanitizers see, it holds that
//   - what is read is written in a form that is read as the same again;
//   - what is taken over lies within the limits of a device.
#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "coalesce/param_table.h"
#include "daemon/adoption.h"
#include "state/migration_state.h"
#include "state/state_layout.h"
#include "tests/fuzz/holds.h"
#include "tests/fuzz/input.h"

namespace state {
namespace {

using tests::Input;

std::string FileOf(const SavedState& saved) {
  std::string file(StateBytes(), 0);
  EncodeState(saved, file);
  return file;
}

// What a process does with a state that it finds.
void TakeUp(const SavedState& saved) {
  const net::DeviceState& device = saved.device;
  HOLDS(device.active_pairs > 0);
  HOLDS(device.positions.size() <= kMaxSavedQueues);
  HOLDS(device.coalescing.queues.size() <= kMaxSavedQueues);
  HOLDS(device.rx_filter.Valid());
  for (const uint32_t asid : device.asids) HOLDS(asid < net::kAddressSpaces);
  for (const auto& setting : {saved.operator_rx, saved.operator_tx}) {
    if (!setting || !setting->goal) continue;
    HOLDS(setting->goal->value > 0);
    HOLDS(setting->goal->value <= coalesce::Goal::kMaxValue);
  }
  coalesce::ParamTable params(1, {}, {});
  if (params.Restore(device.coalescing)) {
    HOLDS(device.coalescing.queues.size() == params.queue_count());
  }
  const std::array<uint8_t, net::RxFilter::kLookBytes> frame{};
  (void)device.rx_filter.Accepts(frame);
  program::JudgeExisting({.name = "vn0",
                          .queue_count = 3,
                          .on_bus = true,
                          .virtio_type = std::nullopt,
                          .state = saved})
      .IgnoreError();
  program::RunOptions options;
  options.name = "vn0";
  options.tap = "tap0";
  program::FitsDevice(options, saved).IgnoreError();
}

void ReadFile(Input& input, bool correct) {
  std::string file(StateBytes(), 0);
  for (char& byte : file) byte = static_cast<char>(input.Byte());
  (void)LayoutOf(file);
  if (correct) CorrectChecksums(file);
  const std::optional<SavedState> saved = DecodeState(file);
  if (!saved) return;
  TakeUp(*saved);
  const std::string once = FileOf(*saved);
  const std::optional<SavedState> again = DecodeState(once);
  HOLDS(again.has_value());
  HOLDS(FileOf(*again) == once);
}

void ReadText(Input& input) {
  std::string text;
  while (!input.empty()) text.push_back(static_cast<char>(input.Byte()));
  const absl::StatusOr<MigrationState> moved = ParseMigrationState(text);
  if (!moved.ok()) return;
  // Its numbers of queues are judged by NetDevice::Restore().
  HOLDS(moved->device.rx_filter.Valid());
  const absl::StatusOr<std::string> once = FormatMigrationState(*moved);
  HOLDS(once.ok());
  const absl::StatusOr<MigrationState> again = ParseMigrationState(*once);
  HOLDS(again.ok());
  const absl::StatusOr<std::string> twice = FormatMigrationState(*again);
  HOLDS(twice.ok() && *twice == *once);
}

}  // namespace
}  // namespace state

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tests::Input input(data, size);
  switch (input.Byte() % 3) {
    case 0:
      state::ReadFile(input, false);
      break;
    case 1:
      state::ReadFile(input, true);
      break;
    default:
      state::ReadText(input);
  }
  return 0;
}
