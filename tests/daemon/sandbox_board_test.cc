// SPDX-License-Identifier: Apache-2.0
#include "daemon/sandbox_board.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "daemon/sandbox.h"

namespace program {
namespace {

using Place = SandboxBoard::Place;

constexpr SandboxReport kReport = {.on = true,
                                   .uid = 65534,
                                   .capabilities = 0x201800,
                                   .no_new_privs = true,
                                   .no_dumps = false,
                                   .filtered = true,
                                   .landlock_abi = 7};

class SandboxBoardTest : public testing::Test {
 protected:
  // Runs `run` in another process, and returns its pid after its end.
  template <typename Function>
  static pid_t InChild(const Function& run) {
    const pid_t pid = fork();
    if (pid == 0) {
      run();
      _exit(0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
    return pid;
  }

  std::unique_ptr<SandboxBoard> board_ = std::move(*SandboxBoard::Create());
};

TEST_F(SandboxBoardTest, AnotherProcessReadsWhatOneHasShown) {
  const pid_t pid =
      InChild([&] { board_->Show(Place::kAdministration, kReport); });
  const std::vector<SandboxBoard::Entry> entries = board_->Entries();
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].place, Place::kAdministration);
  EXPECT_EQ(entries[0].pid, pid);
  EXPECT_EQ(entries[0].report, kReport);
}

TEST_F(SandboxBoardTest, AProcessIsAtOnePlaceOnly) {
  board_->Show(Place::kStandby, kReport);
  board_->Show(Place::kDevice, kReport);
  const std::vector<SandboxBoard::Entry> entries = board_->Entries();
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].place, Place::kDevice);
}

TEST_F(SandboxBoardTest, AProcessThatHasEndedIsRemovedButNotItsSuccessor) {
  const pid_t first = InChild([&] { board_->Show(Place::kStandby, kReport); });
  const pid_t next = InChild([&] { board_->Show(Place::kStandby, kReport); });
  board_->Remove(first);
  ASSERT_EQ(board_->Entries().size(), 1U);
  EXPECT_EQ(board_->Entries()[0].pid, next);
  board_->Remove(next);
  EXPECT_TRUE(board_->Entries().empty());
}

TEST_F(SandboxBoardTest, AnOrphanIsAlone) {
  InChild([&] { board_->Show(Place::kSupervisor, kReport); });
  board_->Show(Place::kDevice, kReport);
  board_->RemoveOthers();
  ASSERT_EQ(board_->Entries().size(), 1U);
  EXPECT_EQ(board_->Entries()[0].pid, getpid());
}

// What the processes show is what the kernel has confirmed to them.
TEST_F(SandboxBoardTest, AProcessShowsItsReportWhenItIsSealed) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can change its user";
  const SandboxOptions options = {.board = board_.get()};
  for (const Role role : {Role::kDevice, Role::kAdministration}) {
    auto sandbox = Sandbox::Prepare(role, options);
    ASSERT_TRUE(sandbox.ok()) << sandbox.status();
    InChild([&] {
      if (!sandbox->Enter().ok() || !sandbox->Seal().ok()) _exit(1);
    });
  }
  const std::vector<SandboxBoard::Entry> entries = board_->Entries();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].place, Place::kStandby);
  EXPECT_EQ(entries[0].report.capabilities, 0U);
  EXPECT_NE(entries[0].report.uid, 0U);
  EXPECT_TRUE(entries[0].report.filtered);
  EXPECT_EQ(entries[1].place, Place::kAdministration);
  EXPECT_EQ(entries[1].report.capabilities, 0x201800U);
  EXPECT_TRUE(entries[1].report.filtered);
}

}  // namespace
}  // namespace program
