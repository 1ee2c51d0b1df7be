// SPDX-License-Identifier: Apache-2.0
#include "daemon/control_socket.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>

#include "tests/support/temp_dir.h"

namespace program {
namespace {

class ControlSocketTest : public testing::Test {
 protected:
  // Asks while the socket is served.
  absl::StatusOr<std::string> Ask(const std::string& request) {
    absl::StatusOr<ControlSocket> socket = ControlSocket::Open(dir_, "dev0");
    EXPECT_TRUE(socket.ok()) << socket.status();
    std::atomic<bool> done = false;
    std::thread server([&] {
      while (!done) {
        pollfd wait = {.fd = socket->fd(), .events = POLLIN, .revents = 0};
        poll(&wait, 1, 10);
        socket->Serve([](const std::string& asked) {
          return asked == "bad" ? absl::StatusOr<std::string>(
                                      absl::InvalidArgumentError("no, bad"))
                                : "you said " + asked;
        });
      }
    });
    absl::StatusOr<std::string> answer =
        ControlSocket::Ask(dir_, "dev0", request);
    done = true;
    server.join();
    return answer;
  }

  const tests::TempDir temp_;
  const std::string& dir_ = temp_.path();
};

TEST_F(ControlSocketTest, ARequestIsAnswered) {
  EXPECT_EQ(Ask("this").value(), "you said this");
  EXPECT_EQ(Ask("").value(), "you said ");
  EXPECT_TRUE(std::filesystem::is_empty(dir_)) << "nothing is left behind";
}

TEST_F(ControlSocketTest, TheHandlersErrorComesBack) {
  const absl::Status status = Ask("bad").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "no, bad");
}

TEST_F(ControlSocketTest, WithoutAProcessTheDeviceIsNamed) {
  const absl::Status status = ControlSocket::Ask(dir_, "dev0", "x").status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_NE(status.message().find("dev0"), std::string::npos);
}

TEST_F(ControlSocketTest, WhatAKilledProcessLeftIsReplaced) {
  const std::string path = dir_ + "/dev0.sock";
  {
    absl::StatusOr<ControlSocket> socket = ControlSocket::Open(dir_, "dev0");
    ASSERT_TRUE(socket.ok());
    std::filesystem::create_hard_link(path, dir_ + "/left");
  }
  std::filesystem::rename(dir_ + "/left", path);
  EXPECT_TRUE(absl::IsNotFound(ControlSocket::Ask(dir_, "dev0", "x").status()));
  EXPECT_EQ(Ask("this").value(), "you said this");
}

TEST_F(ControlSocketTest, ItIsForTheOwnerAlone) {
  const absl::StatusOr<ControlSocket> socket =
      ControlSocket::Open(dir_, "dev0");
  ASSERT_TRUE(socket.ok());
  struct stat info = {};
  ASSERT_EQ(stat((dir_ + "/dev0.sock").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(ControlSocketTest, ADirectoryNameTooLongForASocketIsAnError) {
  const std::string dir = dir_ + "/" + std::string(120, 'x');
  ASSERT_TRUE(std::filesystem::create_directory(dir));
  EXPECT_TRUE(
      absl::IsInvalidArgument(ControlSocket::Open(dir, "dev0").status()));
}

TEST_F(ControlSocketTest, ASilentProcessIsNotWaitedForWithoutEnd) {
  const absl::StatusOr<ControlSocket> socket =
      ControlSocket::Open(dir_, "dev0");
  ASSERT_TRUE(socket.ok());
  EXPECT_TRUE(
      absl::IsDeadlineExceeded(ControlSocket::Ask(dir_, "dev0", "x").status()));
}

}  // namespace
}  // namespace program
