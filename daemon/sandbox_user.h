// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_SANDBOX_USER_H_
#define VDUSE_NET_DAEMON_SANDBOX_USER_H_

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"

namespace program {

// The user as which the device process runs, if there is one of that name.
inline constexpr char kDefaultSandboxUser[] = "vduse-net";
// The user and group if there is none: what systems call nobody and nogroup.
inline constexpr uid_t kNobody = 65534;

struct SandboxUser {
  uid_t uid = kNobody;
  gid_t gid = kNobody;
  bool is_default_missing = false;
};

// Looks `user`, a name or a number, up in `file`, and in no other source: a
// directory service could take any time to answer. A number need not be there;
// its group then has the same number.
//   InvalidArgument: it is root.
//   NotFound: there is no such name, and it is not the default.
absl::StatusOr<SandboxUser> FindSandboxUser(
    const std::string& user, const std::string& file = "/etc/passwd");

}  // namespace program

#endif  // VDUSE_NET_DAEMON_SANDBOX_USER_H_
