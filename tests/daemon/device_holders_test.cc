// SPDX-License-Identifier: Apache-2.0
#include "daemon/device_holders.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "base/unique_fd.h"
#include "daemon/child_process.h"
#include "tests/support/temp_dir.h"

namespace program {
namespace {

// A child of this process that has a file open, and sleeps.
class Child {
 public:
  Child(const char* name, const std::string& path) {
    const base::UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT, 0600));
    const auto pid = StartChild({.name = name, .keep = {file.get()}}, [] {
      for (;;) pause();
    });
    EXPECT_TRUE(file && pid.ok());
    pid_ = pid.value_or(0);
    // Its name is set once it has closed what it does not keep.
    while (WhereItWaits(pid_).find("(S)") == std::string::npos) usleep(1000);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }
  // The signal that ended it.
  int Signal() const {
    siginfo_t info = {};
    waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
    return info.si_code == CLD_KILLED ? info.si_status : 0;
  }
  bool lives() const {
    siginfo_t info = {};
    waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT | WNOHANG);
    return info.si_pid == 0;
  }

 private:
  pid_t pid_ = 0;
};

class DeviceHoldersTest : public testing::Test {
 protected:
  const tests::TempDir temp_;
  const std::string path_ = temp_.path() + "/vn0";
  const std::string other_ = temp_.path() + "/vn1";
};

TEST_F(DeviceHoldersTest, WhoeverHasTheFileOpenIsNamed) {
  const Child serving(kServingName, path_);
  const Child other("other", other_);
  const std::vector<Holder> holders = HoldersOf(path_);
  ASSERT_EQ(holders.size(), 1U);
  EXPECT_EQ(holders[0].pid, serving.pid());
  EXPECT_EQ(holders[0].name, kServingName);
}

TEST_F(DeviceHoldersTest, ThisProcessIsNotNamed) {
  const base::UniqueFd file(open(path_.c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_TRUE(file);
  EXPECT_TRUE(HoldersOf(path_).empty());
}

TEST_F(DeviceHoldersTest, TheProcessThatServesTheDeviceIsKilledAndNoOther) {
  const Child serving(kServingName, path_);
  const Child other(kServingName, other_);
  kill(serving.pid(), SIGSTOP);
  const auto killed = KillServing(path_);
  ASSERT_TRUE(killed.ok()) << killed.status();
  EXPECT_EQ(*killed, std::vector<pid_t>{serving.pid()});
  EXPECT_EQ(serving.Signal(), SIGKILL);
  EXPECT_TRUE(other.lives());
}

TEST_F(DeviceHoldersTest, AnotherProgramIsNotKilled) {
  const Child foreign("qemu", path_);
  const auto killed = KillServing(path_);
  EXPECT_TRUE(absl::IsFailedPrecondition(killed.status())) << killed.status();
  EXPECT_NE(killed.status().message().find("'qemu'"), std::string::npos);
  EXPECT_TRUE(foreign.lives());
}

TEST_F(DeviceHoldersTest, WithoutAHolderNobodyIsKilled) {
  const Child other(kServingName, other_);
  const auto killed = KillServing(path_);
  ASSERT_TRUE(killed.ok()) << killed.status();
  EXPECT_TRUE(killed->empty());
  EXPECT_TRUE(other.lives());
}

// A process whose child of vfork() has not ended is in the state D.
TEST(WhereItWaitsTest, AThreadThatSignalsDoNotReachIsTold) {
  const auto pid = StartChild({.name = "waits", .keep = {}}, [] {
    // NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork)
    if (vfork() == 0) {
      for (;;) pause();
    }
  });
  ASSERT_TRUE(pid.ok()) << pid.status();
  std::string where;
  for (int i = 0; i < 5000 && where.find("(D)") == std::string::npos; ++i) {
    usleep(1000);
    where = WhereItWaits(*pid);
  }
  EXPECT_EQ(where.find("thread " + std::to_string(*pid) + " (D) "), 0U)
      << where;
  // SIGKILL ends the parent; its child is in the same process group as this
  // test, so it is found by what it has: its parent.
  const std::string children = "/proc/" + std::to_string(*pid) + "/task/" +
                               std::to_string(*pid) + "/children";
  pid_t child = 0;
  if (FILE* const file = fopen(children.c_str(), "re")) {
    EXPECT_EQ(fscanf(file, "%d", &child), 1);
    fclose(file);
  }
  if (child > 0) kill(child, SIGKILL);
  kill(*pid, SIGKILL);
  waitpid(*pid, nullptr, 0);
}

TEST(WhereItWaitsTest, AProcessThatIsGoneWaitsForNothing) {
  const auto pid = StartChild({.name = "ends", .keep = {}}, [] {});
  ASSERT_TRUE(pid.ok()) << pid.status();
  siginfo_t info = {};
  waitid(P_PID, static_cast<id_t>(*pid), &info, WEXITED | WNOWAIT);
  EXPECT_EQ(WhereItWaits(*pid), "") << "a zombie";
  waitpid(*pid, nullptr, 0);
  EXPECT_EQ(WhereItWaits(*pid), "");
}

}  // namespace
}  // namespace program
