// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_CONTROL_SOCKET_H_
#define VDUSE_NET_DAEMON_CONTROL_SOCKET_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace program {

// Where the operator's commands reach a running process: one datagram in, one
// out. Whoever may write to the socket's file may ask.
class ControlSocket {
 public:
  // A request has up to this many bytes, an answer, too.
  static constexpr size_t kMaxBytes = 64 * 1024;

  using Handler =
      std::function<absl::StatusOr<std::string>(const std::string& request)>;

  // DIR/NAME.sock, for the owner alone. Takes the place of one that a killed
  // process left; the caller sees to it that there is no other.
  static absl::StatusOr<ControlSocket> Open(const std::string& dir,
                                            const std::string& name);
  ControlSocket(ControlSocket&& other) noexcept;
  ControlSocket& operator=(ControlSocket&&) = delete;
  ~ControlSocket();

  int fd() const { return fd_.get(); }

  // Answers what waits. Never blocks: an asker that takes no answer gets none.
  void Serve(const Handler& handler);

  // The asker's side. The handler's error comes back as FailedPrecondition.
  //   NotFound: nobody serves a device of that name here.
  //   DeadlineExceeded: no answer within 2 seconds.
  static absl::StatusOr<std::string> Ask(const std::string& dir,
                                         const std::string& name,
                                         const std::string& request);

 private:
  ControlSocket(std::string path, base::UniqueFd fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  base::UniqueFd fd_;
};

}  // namespace program

#endif  // VDUSE_NET_DAEMON_CONTROL_SOCKET_H_
