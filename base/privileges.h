// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_BASE_PRIVILEGES_H_
#define VDUSE_NET_BASE_PRIVILEGES_H_

#include "absl/status/status.h"

namespace base {

// Whether this process may make network devices, which takes CAP_NET_ADMIN.
//   PermissionDenied: it may not; says what to do.
absl::Status CheckPrivileges();

// Adds to an error for lack of permission that root has it. Leaves other
// statuses as they are.
absl::Status ExplainPermission(const absl::Status& status);

}  // namespace base

#endif  // VDUSE_NET_BASE_PRIVILEGES_H_
