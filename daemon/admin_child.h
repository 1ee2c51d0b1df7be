// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_ADMIN_CHILD_H_
#define VDUSE_NET_DAEMON_ADMIN_CHILD_H_

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "net/path/tap.h"

namespace program {

// The main loop of the administration process (see AdminProcess): answers
// requests from `socket` until its other end is closed. If `tap` is not empty,
// it holds the queues of the interface `tap_name`, which is followed from the
// start.
[[noreturn]] void RunAdminChild(base::UniqueFd socket,
                                std::vector<net::Tap> tap,
                                const std::string& tap_name);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_ADMIN_CHILD_H_
