// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_UNIX_SOCKET_H_
#define VDUSE_NET_BASE_UNIX_SOCKET_H_

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace base {

// Returns a non-blocking socket of `type` that listens at `path`, a file that
// only its owner may use. Replaces a socket that a killed process left; the
// caller ensures that no living process uses it. The file stays until the
// caller removes it.
//   InvalidArgument: the path is too long.
absl::StatusOr<UniqueFd> ListenAt(const std::string& path, int type,
                                  int backlog);

// Returns a non-blocking socket of `type` that is connected to `path`.
//   InvalidArgument: the path is too long.
//   NotFound: no process listens there.
absl::StatusOr<UniqueFd> ConnectTo(const std::string& path, int type);

// Whether the process at the other end of `socket` is root's, or `user`'s.
bool PeerIs(int socket, uid_t user);

}  // namespace base

#endif  // VDUSE_NET_BASE_UNIX_SOCKET_H_
