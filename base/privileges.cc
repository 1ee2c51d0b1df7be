// SPDX-License-Identifier: Apache-2.0
#include "base/privileges.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/status_text.h"

namespace base {

absl::Status CheckPrivileges() {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3,
                                     .pid = 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  // If the kernel does not tell, it will refuse by itself later.
  if (syscall(SYS_capget, &header, sets) != 0) return absl::OkStatus();
  const uint32_t effective = sets[CAP_TO_INDEX(CAP_NET_ADMIN)].effective;
  if ((effective & CAP_TO_MASK(CAP_NET_ADMIN)) != 0) return absl::OkStatus();
  return absl::PermissionDeniedError(
      "permission denied: CAP_NET_ADMIN is missing: run this as root");
}

absl::Status ExplainPermission(const absl::Status& status) {
  if (!absl::IsPermissionDenied(status)) return status;
  return absl::PermissionDeniedError(
      fmt::format("{}: run this as root", Text(status)));
}

}  // namespace base
