// SPDX-License-Identifier: Apache-2.0
//
// The server's descriptors: when there are none left, and when others have
// copies of them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>
#include <string_view>

#include "rpc/varlink_server.h"
#include "tests/rpc/connect_to.h"
#include "tests/support/temp_dir.h"

namespace rpc {
namespace {

bool Readable(int fd, int timeout_ms) {
  pollfd ready = {.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&ready, 1, timeout_ms) == 1;
}

class VarlinkFilesTest : public testing::Test {
 protected:
  // A server, and a client whose connection it has not accepted yet.
  void SetUp() override {
    ASSERT_TRUE(server.ok()) << server.status();
    client = ConnectTo(path);
    ASSERT_TRUE(Readable(server->fd(), 10'000));
  }

  const tests::TempDir temp;
  const std::string path = temp.path() + "/echo.sock";
  absl::StatusOr<VarlinkServer> server =
      VarlinkServer::Create(VarlinkServer::Listen(path).value(), {}, geteuid());
  base::UniqueFd client;
};

// No descriptor is left for who connects: to be told of it at once, again and
// again, would be to spin.
TEST_F(VarlinkFilesTest, WithoutDescriptorsItWaitsAndThenAccepts) {
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 3;  // those that are open stay so
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  int wakeups = 0;
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  while (std::chrono::steady_clock::now() < end) {
    if (!Readable(server->fd(), 10)) continue;
    server->Serve();
    ++wakeups;
  }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_LE(wakeups, 20);

  constexpr std::string_view kCall =
      R"({"method":"org.varlink.service.GetInfo"})";
  ASSERT_EQ(send(client.get(), kCall.data(), kCall.size() + 1, MSG_NOSIGNAL),
            static_cast<ssize_t>(kCall.size() + 1));
  for (int i = 0; i < 1000 && !Readable(client.get(), 0); ++i) {
    if (Readable(server->fd(), 100)) server->Serve();
  }
  EXPECT_TRUE(Readable(client.get(), 0)) << "answered";
}

// A process that is being started has copies of all descriptors.
TEST_F(VarlinkFilesTest, Row143_AConnectionThatEndedWakesNobodyIfACopyIsOpen) {
  server->Serve();
  std::array<int, 2> ends;
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  const base::UniqueFd out(ends[0]);
  base::UniqueFd in(ends[1]);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    in.Reset();
    char byte;
    _exit(read(out.get(), &byte, 1) == 0 ? 0 : 1);
  }
  ASSERT_EQ(shutdown(client.get(), SHUT_RDWR), 0);
  ASSERT_TRUE(Readable(server->fd(), 10'000));
  server->Serve();
  EXPECT_FALSE(Readable(server->fd(), 0));
  in.Reset();
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace rpc
