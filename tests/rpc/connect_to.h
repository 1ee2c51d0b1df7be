// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_RPC_CONNECT_TO_H_
#define VDUSE_NET_TESTS_RPC_CONNECT_TO_H_

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cstring>
#include <string>

#include "base/unique_fd.h"

namespace rpc {

// A connection that says what it likes.
inline base::UniqueFd ConnectTo(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval timeout = {.tv_sec = 5, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                    sizeof(address)),
            0);
  return fd;
}

}  // namespace rpc

#endif  // VDUSE_NET_TESTS_RPC_CONNECT_TO_H_
