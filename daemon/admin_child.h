// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_ADMIN_CHILD_H_
#define VDUSE_NET_DAEMON_ADMIN_CHILD_H_

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "net/path/tap.h"

namespace program {

// The life of the administration process, see AdminProcess: answers what comes
// over `socket` until its other end has gone. Goes on with the queues of the
// interface `tap_name` if `tap` has any.
void RunAdminChild(base::UniqueFd socket, std::vector<net::Tap> tap,
                   const std::string& tap_name);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_ADMIN_CHILD_H_
