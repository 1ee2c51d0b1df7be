// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_STATE_STATE_FILE_H_
#define VDUSE_NET_STATE_STATE_FILE_H_

#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "state/state_layout.h"

namespace state {

// DIR/NAME.state, mapped: a process killed in the middle of Write() leaves the
// state before. DIR/NAME.lock is locked as long as this lives, so that there is
// one process to a device and its state. One thread.
class StateFile {
 public:
  enum class IfFull {
    kFail,
    // The state is kept in memory alone: a driver waits for the device, and
    // losing its state is the lesser evil.
    kGoOn,
  };

  // Makes the directory if need be. A new file appears with the first Write();
  // its space is taken here.
  //   FailedPrecondition: another process has it, or a newer release wrote it.
  //   ResourceExhausted: kFail, and there is no space.
  static absl::StatusOr<StateFile> Open(const std::string& dir,
                                        const std::string& name,
                                        IfFull if_full = IfFull::kFail);
  StateFile(StateFile&& other) noexcept;
  StateFile& operator=(StateFile&&) = delete;
  ~StateFile();

  // Nothing if there is none, or what there is was damaged. What it says is
  // checked here for form, not for sense.
  std::optional<SavedState> Read() const;

  // No system call but for the first in a new file; survives this process, not
  // the machine.
  void Write(const SavedState& state);

  // False after kGoOn without space.
  bool kept() const { return kept_; }

  // The device is gone: so is its state, and others may have the name.
  void Remove();

 private:
  StateFile(const std::string& dir, const std::string& name)
      : path_(dir + "/" + name + ".state"),
        new_path_(path_ + ".new"),
        lock_path_(dir + "/" + name + ".lock") {}
  absl::Status Lock(const std::string& name);
  absl::Status Load();
  absl::Status MapNew();
  absl::Status Map(int fd);
  void MapMemory();
  std::span<char> bytes() const { return {map_, StateBytes()}; }

  std::string path_;
  std::string new_path_;  // until the first Write(), if not empty
  std::string lock_path_;
  base::UniqueFd lock_;
  char* map_ = nullptr;
  bool renamed_ = false;  // the file is at path_
  bool kept_ = true;
};

}  // namespace state

#endif  // VDUSE_NET_STATE_STATE_FILE_H_
