// SPDX-License-Identifier: Apache-2.0
//
// Messages between the administration process and its parent. Both are the same
// program, so the layout needs no version.
#ifndef VDUSE_NET_DAEMON_ADMIN_MESSAGES_H_
#define VDUSE_NET_DAEMON_ADMIN_MESSAGES_H_

#include <net/if.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "daemon/admin_process.h"
#include "net/wire/config_space.h"

namespace program {

struct AdminRequest {
  AdminProcess::Kind kind;
  // kOpenTap: the MTU, or 0 to keep it. kSetTap: the offloads. kCloseTap: an
  // AdminProcess::OnClose.
  uint32_t value;
  uint32_t queues;                     // kOpenTap, kSetTap
  uint32_t may_create;                 // kOpenTap
  AdminProcess::TapIdentity identity;  // kOpenTap
  char name[256];
};

struct AdminAnswer {
  AdminProcess::Kind kind;
  int32_t code;  // absl::StatusCode
  uint32_t tap_created;
  uint32_t tap_knows_uso;
  uint32_t link_up;
  uint32_t device_id;
  LinkSpeed speed;
  AdminProcess::TapIdentity identity;
  char tap_name[IFNAMSIZ];
  char text[512];
};

template <size_t kSize>
void CopyText(char (&to)[kSize], std::string_view from) {
  const size_t n = std::min(from.size(), kSize - 1);
  std::memcpy(to, from.data(), n);
  to[n] = 0;
}

}  // namespace program

#endif  // VDUSE_NET_DAEMON_ADMIN_MESSAGES_H_
