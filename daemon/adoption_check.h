// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_ADOPTION_CHECK_H_
#define VDUSE_NET_DAEMON_ADOPTION_CHECK_H_

#include "absl/status/status.h"
#include "daemon/options.h"
#include "daemon/state_layout.h"

namespace program {

// Whether a device that was made as `saved` says can be served with these
// options. A driver has seen what it was made with, and the TAP has an owner.
//   InvalidArgument: with the option that does not fit.
absl::Status FitsDevice(const RunOptions& options, const SavedState& saved);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_ADOPTION_CHECK_H_
