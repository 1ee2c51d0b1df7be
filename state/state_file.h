// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_STATE_STATE_FILE_H_
#define VDUSE_NET_STATE_STATE_FILE_H_

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "state/state_layout.h"

namespace state {

// The file DIR/NAME.state, mapped. If the process is killed during Write(), the
// file still has the previous state. DIR/NAME.lock is locked during this
// object's life, so that only one process uses a device and its state. One
// thread.
class StateFile {
 public:
  enum class IfFull {
    kFail,
    // Keep the state in memory only: a driver is waiting for the device, and
    // losing the state is the lesser evil.
    kGoOn,
  };

  // Creates the directory if needed. A new file appears with the first Write();
  // its space is allocated here.
  //   FailedPrecondition: another process has the file, or a newer release
  //     wrote it.
  //   ResourceExhausted: `if_full` is kFail and there is no space.
  static absl::StatusOr<StateFile> Open(const std::string& dir,
                                        const std::string& name,
                                        IfFull if_full = IfFull::kFail);
  // Whether this release can read the state that is there, if there is any.
  //   FailedPrecondition: a newer release wrote it.
  static absl::Status CheckReadable(const std::string& dir,
                                    const std::string& name);

  // The state that is there, as Read() returns it, also while another process
  // has the file.
  static std::optional<SavedState> Peek(const std::string& dir,
                                        const std::string& name);

  // The process that has the file open; nothing if there is none.
  static std::optional<pid_t> Owner(const std::string& dir,
                                    const std::string& name);

  StateFile(StateFile&& other) noexcept;
  StateFile& operator=(StateFile&&) = delete;
  ~StateFile();

  // Returns the saved state, or nothing if there is none or it is damaged. This
  // checks that the file is intact, not that the values are plausible.
  std::optional<SavedState> Read() const;

  // Saves `state`. Makes no system call, except for the first write to a new
  // file. The state survives this process, but not a restart of the machine.
  void Write(const SavedState& state);

  // Makes a new file appear before the first Write(). Afterwards, Write() makes
  // no system call in this process and in those that are forked from it.
  void Appear();

  // False if there was no space for the file and the state is kept only in
  // memory (IfFull::kGoOn).
  bool kept() const { return kept_; }

  // Call this once the device is destroyed: removes the state file, and
  // releases the lock on the name.
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
  std::string new_path_;  // the file's name until the first Write()
  std::string lock_path_;
  base::UniqueFd lock_;
  char* map_ = nullptr;
  bool renamed_ = false;  // the file is at path_
  bool kept_ = true;
};

}  // namespace state

#endif  // VDUSE_NET_STATE_STATE_FILE_H_
