// SPDX-License-Identifier: Apache-2.0
#include "daemon/child_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/eventfd.h"

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

}  // namespace
}  // namespace program
