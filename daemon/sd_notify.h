// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_DAEMON_SD_NOTIFY_H_
#define VDUSE_NET_DAEMON_SD_NOTIFY_H_

#include <string_view>

namespace program {

// Tells the service manager, if $NOTIFY_SOCKET names one, a state such as
// "READY=1" (sd_notify(3)).
void SdNotify(std::string_view state);

}  // namespace program

#endif  // VDUSE_NET_DAEMON_SD_NOTIFY_H_
