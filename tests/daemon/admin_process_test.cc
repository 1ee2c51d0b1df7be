// SPDX-License-Identifier: Apache-2.0
#include "daemon/admin_process.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace program {
namespace {

bool Within10Seconds(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

class AdminProcessTest : public testing::Test {
 protected:
  // Starts one, and waits until it has closed what it does not need.
  void Start(const std::vector<base::UniqueFd>& tap = {}) {
    absl::StatusOr<AdminProcess> admin =
        AdminProcess::Start(nullptr, tap, "none");
    ASSERT_TRUE(admin.ok()) << admin.status();
    admin_.emplace(std::move(*admin));
    std::ifstream file(fmt::format("/proc/self/task/{}/children", getpid()));
    file >> child_;
    ASSERT_GT(child_, 0);
    ASSERT_TRUE(Within10Seconds([&] {
      std::ifstream name(fmt::format("/proc/{}/comm", child_));
      std::string text;
      name >> text;
      return text == "vduse-net-admin";
    }));
  }
  bool HasOpen(int fd) const {
    std::error_code error;
    return std::filesystem::is_symlink(
        fmt::format("/proc/{}/fd/{}", child_, fd), error);
  }
  bool Ends() const {
    return Within10Seconds(
        [&] { return waitpid(child_, nullptr, WNOHANG) == child_; });
  }

  std::optional<AdminProcess> admin_;
  pid_t child_ = 0;
};

TEST_F(AdminProcessTest, ItEndsWithItsParent) {
  ASSERT_NO_FATAL_FAILURE(Start());
  admin_.reset();
  EXPECT_TRUE(Ends());
}

TEST_F(AdminProcessTest, StandardDescriptorsStayOpenWhateverIsMissing) {
  std::vector<base::UniqueFd> tap(2);  // could not be copied
  ASSERT_NO_FATAL_FAILURE(Start(tap));
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    EXPECT_TRUE(HasOpen(fd)) << fd;
  }
  admin_.reset();
  EXPECT_TRUE(Ends());
}

TEST_F(AdminProcessTest, AbandonedItEndsByItself) {
  ASSERT_NO_FATAL_FAILURE(Start());
  admin_->Abandon();
  EXPECT_TRUE(Ends());
}

TEST_F(AdminProcessTest, AnAnswerThatNobodyReadDoesNotKeepItFromTheEnd) {
  ASSERT_NO_FATAL_FAILURE(Start());
  admin_->OpenTap({.name = "", .mtu = {}, .identity = {}});  // refused
  admin_->Abandon();
  admin_.reset();
  EXPECT_TRUE(Ends());
}

}  // namespace
}  // namespace program
