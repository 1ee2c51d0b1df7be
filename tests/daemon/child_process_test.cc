// SPDX-License-Identifier: Apache-2.0
#include "daemon/child_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/eventfd.h"
#include "daemon/fd_message.h"

namespace program {
namespace {

int StatusOf(pid_t pid) {
  int status = 0;
  return waitpid(pid, &status, 0) == pid ? status : -1;
}

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }

TEST(ChildProcessTest, ItKeepsTheDescriptorsThatItIsGivenAndNoOthers) {
  const base::UniqueFd kept = base::MakeEventfd();
  const base::UniqueFd closed = base::MakeEventfd();
  const auto pid = StartChild({.name = "child", .keep = {-1, kept.get()}}, [&] {
    const bool right = IsOpen(kept.get()) && !IsOpen(closed.get()) &&
                       IsOpen(STDIN_FILENO) && IsOpen(STDOUT_FILENO) &&
                       IsOpen(STDERR_FILENO);
    _exit(right ? 0 : 1);
  });
  ASSERT_TRUE(pid.ok()) << pid.status();
  EXPECT_EQ(StatusOf(*pid), 0);
}

TEST(ChildProcessTest, ItEndsWhenItsFunctionReturns) {
  const auto pid = StartChild({.name = "child", .keep = {}}, [] {});
  ASSERT_TRUE(pid.ok()) << pid.status();
  EXPECT_EQ(StatusOf(*pid), 0);
}

TEST(ChildProcessTest, SignalsForTheProcessGroupDoNotEndIt) {
  const auto pid = StartChild({.name = "child", .keep = {}}, [] {
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) raise(number);
    _exit(7);
  });
  ASSERT_TRUE(pid.ok()) << pid.status();
  const int status = StatusOf(*pid);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

// The grandchild has one end of a connection, which closes when it ends.
TEST(ChildProcessTest, ItEndsWithItsParentIfItIsToldTo) {
  absl::StatusOr<SocketPair> sockets = MakeSocketPair();
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  const auto parent =
      StartChild({.name = "parent", .keep = {sockets->theirs.get()}}, [&] {
        const auto child = StartChild({.name = "child",
                                       .keep = {sockets->theirs.get()},
                                       .ends_with_parent = true},
                                      [] {
                                        for (;;) pause();
                                      });
        _exit(child.ok() ? 0 : 1);
      });
  ASSERT_TRUE(parent.ok()) << parent.status();
  sockets->theirs.Reset();
  EXPECT_EQ(StatusOf(*parent), 0);
  pollfd ended = {.fd = sockets->ours.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&ended, 1, 10'000), 1);
}

}  // namespace
}  // namespace program
