// SPDX-License-Identifier: Apache-2.0
//
// A running device gets another release of the program:
//
//   supervisor                          new program
//   executes it               ------->  checks its options and this host, and
//                                       that it can read the device's state
//                             <-------  is ready
//   ends; the device process  ------->  takes over from that process, see
//   goes on                             hand_over.h
//
// Until the new program is ready, nothing has changed. If it is not ready in
// time, or ends, the supervisor goes on.
#ifndef VDUSE_NET_DAEMON_UPGRADE_H_
#define VDUSE_NET_DAEMON_UPGRADE_H_

#include <sys/types.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace program {

// The side of the supervisor. One thread. Never waits.
class NewProgram {
 public:
  // Executes `path`, with the arguments of this process, in a child process.
  static absl::StatusOr<NewProgram> Start(const std::string& path);

  pid_t pid() const { return pid_; }
  // Readable when the program is ready, or has ended.
  int fd() const { return socket_.get(); }
  // Unavailable: it is not ready, and never will be.
  absl::Status Ready();
  // Stops listening to a program that will not get ready.
  void Disconnect() { socket_.Reset(); }
  void Kill() const;

 private:
  NewProgram(pid_t pid, base::UniqueFd socket)
      : pid_(pid), socket_(std::move(socket)) {}

  pid_t pid_;
  base::UniqueFd socket_;
};

// The side of the new program: whether a supervisor has executed it. Call this
// before AwaitTurn().
bool ReplacesSupervisor();
// The side of the new program: if a supervisor has executed it, says that it is
// ready and waits until that supervisor has ended.
//   FailedPrecondition: the supervisor is of a release that this one does not
//     know.
absl::Status AwaitTurn();

// The path of this program's file.
std::string ProgramPath();

// Asks the supervisor of the device `name` to execute its program again, which
// may be another release by now. Returns the pid of the new supervisor.
//   NotFound: nobody serves a device of that name.
//   FailedPrecondition: the new program did not get ready; the old one goes on.
absl::StatusOr<pid_t> Upgrade(const std::string& state_dir,
                              const std::string& name);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_UPGRADE_H_
