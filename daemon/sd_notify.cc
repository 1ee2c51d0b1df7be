// SPDX-License-Identifier: Apache-2.0
#include "daemon/sd_notify.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstddef>
#include <cstring>
#include <thread>

#include "base/unique_fd.h"

namespace program {
namespace {

// The service manager may be busy, but the driver cannot wait for long.
constexpr int kTries = 20;
constexpr std::chrono::milliseconds kPause(5);

}  // namespace

void SdNotify(std::string_view state) {
  const char* path = getenv("NOTIFY_SOCKET");
  sockaddr_un address = {};
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  const size_t length = std::strlen(path);
  if (length >= sizeof(address.sun_path)) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = 0;  // the abstract namespace
  const base::UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return;
  for (int i = 0; i < kTries; ++i) {
    const ssize_t n = sendto(
        fd.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
        reinterpret_cast<const sockaddr*>(&address),
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
    if (n >= 0 || errno != EAGAIN) return;
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace program
