// SPDX-License-Identifier: Apache-2.0
#include "daemon/upgrade.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <utility>

#include "daemon/fd_message.h"
#include "state/state_file.h"
#include "tests/support/temp_dir.h"

namespace program {
namespace {

class UpgradeTest : public testing::Test {
 protected:
  // An executable file with that text.
  std::string Script(const std::string& text) {
    std::string path = temp_.path() + "/program";
    std::ofstream(path) << text;
    chmod(path.c_str(), 0700);
    return path;
  }
  static bool Readable(int fd) {
    pollfd ready = {.fd = fd, .events = POLLIN, .revents = 0};
    return poll(&ready, 1, 10'000) == 1;
  }
  static int StatusOf(pid_t pid) {
    int status = 0;
    return waitpid(pid, &status, 0) == pid ? status : -1;
  }

  const tests::TempDir temp_;
};

TEST_F(UpgradeTest, AProgramThatEndsNeverGetsReady) {
  auto program = NewProgram::Start(Script("#!/bin/sh\nexit 3\n"));
  ASSERT_TRUE(program.ok()) << program.status();
  ASSERT_TRUE(Readable(program->fd()));
  EXPECT_TRUE(absl::IsUnavailable(program->Ready()));
  const int status = StatusOf(program->pid());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3);
}

TEST_F(UpgradeTest, AFileThatIsNoProgramNeverGetsReady) {
  auto program = NewProgram::Start(temp_.path() + "/none");
  ASSERT_TRUE(program.ok()) << program.status();
  ASSERT_TRUE(Readable(program->fd()));
  EXPECT_FALSE(program->Ready().ok());
  EXPECT_EQ(WEXITSTATUS(StatusOf(program->pid())), 127);
}

// It gets the arguments of this process, and names its descriptor.
TEST_F(UpgradeTest, ItRunsWithTheSameArguments) {
  auto program = NewProgram::Start(
      Script("#!/bin/sh\n[ -n \"$VDUSE_NET_SUCCEEDS\" ] || exit 4\n"
             "[ \"$1\" = \"--gtest_filter=x\" ] || exit $#\n"));
  ASSERT_TRUE(program.ok()) << program.status();
  const int status = StatusOf(program->pid());
  ASSERT_TRUE(WIFEXITED(status));
  std::ifstream file("/proc/self/cmdline");
  const std::string line((std::istreambuf_iterator<char>(file)), {});
  const auto arguments = std::count(line.begin(), line.end(), '\0') - 1;
  EXPECT_EQ(WEXITSTATUS(status), arguments);
}

// AwaitTurn() in a child, at the other end of a connection of the test's.
class AwaitTurnTest : public testing::Test {
 protected:
  void SetUp() override {
    auto sockets = MakeSocketPair();
    ASSERT_TRUE(sockets.ok()) << sockets.status();
    child_ = fork();
    ASSERT_GE(child_, 0);
    if (child_ == 0) {
      sockets->ours.Reset();
      setenv("VDUSE_NET_SUCCEEDS",
             std::to_string(sockets->theirs.get()).c_str(), 1);
      _exit(AwaitTurn().ok() ? 0 : 1);
    }
    ours_ = std::move(sockets->ours);
  }
  void Greet(uint32_t version) {
    ASSERT_TRUE(SendMessage(ours_.get(), std::as_bytes(std::span(&version, 1)),
                            {}, IfFull::kFail));
  }
  bool Answers() {
    uint32_t version = 0;
    return ReceiveMessage(ours_.get(),
                          std::as_writable_bytes(std::span(&version, 1)),
                          IfEmpty::kWait)
        .ok();
  }
  int Status() {
    int status = 0;
    return waitpid(child_, &status, 0) == child_ ? status : -1;
  }

  pid_t child_ = 0;
  base::UniqueFd ours_;
};

TEST_F(AwaitTurnTest, ItIsReadyAndWaitsForTheEndOfTheOther) {
  Greet(1);
  EXPECT_TRUE(Answers());
  int status = 0;
  EXPECT_EQ(waitpid(child_, &status, WNOHANG), 0) << "it waits";
  ours_.Reset();
  EXPECT_EQ(Status(), 0);
}

TEST_F(AwaitTurnTest, AnotherReleaseIsRefused) {
  Greet(1000);
  EXPECT_FALSE(Answers());
  EXPECT_EQ(WEXITSTATUS(Status()), 1);
}

TEST_F(AwaitTurnTest, AnEndBeforeTheGreetingIsAnError) {
  ours_.Reset();
  EXPECT_EQ(WEXITSTATUS(Status()), 1);
}

TEST_F(UpgradeTest, WithoutASupervisorThereIsNothingToWaitFor) {
  EXPECT_TRUE(AwaitTurn().ok());
}

TEST_F(UpgradeTest, ADeviceThatNobodyServesIsNotUpgraded) {
  EXPECT_TRUE(absl::IsNotFound(Upgrade(temp_.path(), "vn0").status()));
  {
    const auto state = state::StateFile::Open(temp_.path(), "vn0");
    ASSERT_TRUE(state.ok()) << state.status();
    EXPECT_EQ(state::StateFile::Owner(temp_.path(), "vn0"), getpid());
  }
  EXPECT_FALSE(state::StateFile::Owner(temp_.path(), "vn0"));
}

}  // namespace
}  // namespace program
