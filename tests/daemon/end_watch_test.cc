// SPDX-License-Identifier: Apache-2.0
#include "daemon/end_watch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "daemon/child_process.h"
#include "tests/support/temp_dir.h"

namespace program {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr EndWatch::Instant kStart{hours(1)};

TEST(EndWatchTest, NothingIsDueWithoutAProcess) {
  EndWatch watch;
  EXPECT_FALSE(watch.due());
  EXPECT_FALSE(watch.Look(kStart + hours(1)));
}

TEST(EndWatchTest, AProcessThatEndsInTimeIsNotReported) {
  EndWatch watch;
  watch.Start(kStart);
  EXPECT_FALSE(watch.Look(kStart + EndWatch::kFirst - milliseconds(1)));
  watch.Stop();
  EXPECT_FALSE(watch.due());
  EXPECT_FALSE(watch.Look(kStart + hours(1)));
}

// As the supervisor does: it sleeps until `due`, and only then looks.
TEST(EndWatchTest, AProcessThatNeverEndsIsReportedEverMoreSeldom) {
  EndWatch watch;
  watch.Start(kStart);
  std::vector<seconds> reported;
  int looks = 0;
  while (*watch.due() < kStart + hours(1)) {
    ++looks;
    const auto length = watch.Look(*watch.due());
    ASSERT_TRUE(length);
    reported.push_back(*length);
  }
  EXPECT_EQ(looks, 13);
  EXPECT_EQ(reported[0], seconds(2));
  EXPECT_EQ(reported[1], seconds(6));
  EXPECT_EQ(reported[2], seconds(14));
  EXPECT_EQ(reported.back() - reported[reported.size() - 2], minutes(10));
}

TEST(EndWatchTest, ASecondKillOfTheSameProcessDelaysNothing) {
  EndWatch watch;
  watch.Start(kStart);
  watch.Start(kStart + seconds(1));
  EXPECT_EQ(watch.due(), kStart + EndWatch::kFirst);
}

TEST(EndWatchTest, TheNextProcessIsReportedAsSoonAsTheFirst) {
  EndWatch watch;
  watch.Start(kStart);
  EXPECT_TRUE(watch.Look(kStart + seconds(2)));
  watch.Stop();
  watch.Start(kStart + minutes(5));
  EXPECT_EQ(watch.due(), kStart + minutes(5) + EndWatch::kFirst);
}

TEST(EndWatchTest, TheReportSaysWhatTheProcessWaitsFor) {
  const std::string text = DescribeEnd(getpid(), seconds(14));
  const std::string pid = std::to_string(getpid());
  EXPECT_EQ(text.find("process " + pid + " was killed 14 s ago"), 0U) << text;
  EXPECT_NE(text.find("thread " + pid + " (R) "), std::string::npos) << text;
  EXPECT_NE(text.find("/proc/" + pid + "/task/*/stack"), std::string::npos);
}

TEST(EndWatchTest, TheReportSaysWhoHasTheDeviceOpen) {
  const tests::TempDir temp;
  const std::string path = temp.path() + "/vn0";
  EXPECT_NE(DescribeOpen(path, seconds(2)).find("not visible here"),
            std::string::npos);
  const base::UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT, 0600));
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const base::UniqueFd from(ends[0]);
  base::UniqueFd to(ends[1]);
  const auto pid =
      StartChild({.name = "holder", .keep = {file.get(), from.get()}}, [&] {
        char byte = 0;
        [[maybe_unused]] const ssize_t n = read(from.get(), &byte, 1);
      });
  ASSERT_TRUE(pid.ok()) << pid.status();
  const std::string holder = "process " + std::to_string(*pid);
  std::string text;
  for (int i = 0; i < 5000 && text.find("('holder')") == std::string::npos;
       ++i) {
    usleep(1000);
    text = DescribeOpen(path, seconds(2));
  }
  EXPECT_NE(text.find("end " + holder + " ('holder')"), std::string::npos)
      << text;
  to.Reset();
}

}  // namespace
}  // namespace program
