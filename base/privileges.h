// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_PRIVILEGES_H_
#define VDUSE_NET_BASE_PRIVILEGES_H_

#include "absl/status/status.h"

namespace base {

// Checks that this process may create network devices, which takes
// CAP_NET_ADMIN.
//   PermissionDenied: it may not; the message says what to do.
absl::Status CheckPrivileges();

// Adds the hint to run as root to a PermissionDenied error. Returns other
// statuses unchanged.
absl::Status ExplainPermission(const absl::Status& status);

}  // namespace base

#endif  // VDUSE_NET_BASE_PRIVILEGES_H_
