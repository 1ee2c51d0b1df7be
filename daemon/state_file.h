// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_STATE_FILE_H_
#define VDUSE_NET_DAEMON_STATE_FILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "net/config_space.h"
#include "net/device_state.h"

namespace program {

// What a successor of a killed process cannot ask the kernel for.
struct SavedState {
  uint64_t features = 0;  // offered
  net::MacAddress mac{};
  uint16_t mtu = 0;
  uint16_t queue_size = 0;   // largest
  uint32_t queue_pairs = 1;  // by what the device is, not kept
  bool tap_created = false;
  // What the operator has said while the device ran.
  std::optional<coalesce::Setting> operator_rx;
  std::optional<coalesce::Setting> operator_tx;
  net::DeviceState device;
};

// A small file, mapped, with two slots of which the newer valid one counts:
// a process killed in the middle of Write() leaves the older. One thread.
class StateFile {
 public:
  // Queues that a slot has room for.
  static constexpr uint32_t kMaxQueues = 64;

  // Opens DIR/NAME.state, makes both if need be.
  static absl::StatusOr<StateFile> Open(const std::string& dir,
                                        const std::string& name);
  StateFile(StateFile&& other) noexcept;
  StateFile& operator=(StateFile&&) = delete;
  ~StateFile();

  // Opens it again: whoever had the device before may have removed the file
  // meanwhile. What was open stays open if that fails.
  absl::Status Reopen();

  // Nothing if the file is new, of another version, or damaged. What it says
  // is checked here for form, not for sense.
  std::optional<SavedState> Read() const;

  // No system call; survives this process, not the machine.
  void Write(const SavedState& state);

  // The device is gone: so is its state.
  void Remove();

 private:
  struct Slot;
  struct Layout;
  StateFile(std::string dir, std::string name)
      : dir_(std::move(dir)), name_(std::move(name)) {}
  std::string path() const { return dir_ + "/" + name_; }
  void Unmap();
  static bool Valid(const Slot& slot);
  const Slot* Newest() const;

  std::string dir_;
  std::string name_;
  Layout* map_ = nullptr;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_STATE_FILE_H_
