// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "rpc/varlink_client.h"
#include "rpc/varlink_server.h"
#include "tests/rpc/connect_to.h"
#include "tests/rpc/serving_thread.h"
#include "tests/support/temp_dir.h"

namespace rpc {
namespace {

using nlohmann::json;

constexpr char kDescription[] = "interface org.example.Echo\n";

class VarlinkTest : public testing::Test {
 protected:
  VarlinkTest() {
    VarlinkInterface interface;
    interface.name = "org.example.Echo";
    interface.description = kDescription;
    interface.methods["Say"] = [this](const json& parameters) {
      ++said_;
      return VarlinkReply{.error = "", .parameters = {{"said", parameters}}};
    };
    interface.methods["Fail"] = [](const json&) {
      return VarlinkReply{.error = "org.example.Echo.Failed",
                          .parameters = {{"reason", "no, bad"}}};
    };
    interface.methods["Large"] = [this](const json&) {
      ++large_;
      return VarlinkReply{.error = "",
                          .parameters = {{"text", std::string(1 << 20, 'x')}}};
    };
    serving_.emplace(path_, std::move(interface));
  }

  absl::StatusOr<json> Call(std::string_view method,
                            const json& parameters = json::object()) {
    return VarlinkCall(path_, method, parameters);
  }

  base::UniqueFd Connect() { return ConnectTo(path_); }
  static void Say(const base::UniqueFd& fd, const std::string& bytes) {
    EXPECT_EQ(send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Up to the next NUL; nothing if the connection ends.
  static std::optional<std::string> Hear(const base::UniqueFd& fd) {
    std::string text;
    for (char byte = 1;;) {
      const ssize_t got = recv(fd.get(), &byte, 1, 0);
      EXPECT_FALSE(got < 0 && errno == EAGAIN) << "silent, and not closed";
      if (got != 1) return std::nullopt;
      if (byte == '\0') return text;
      text += byte;
    }
  }

  const tests::TempDir temp_;
  const std::string path_ = temp_.path() + "/echo.sock";
  std::atomic<int> said_ = 0;
  std::atomic<int> large_ = 0;
  std::optional<ServingThread> serving_;
};

TEST_F(VarlinkTest, ACallIsAnswered) {
  const json answer = Call("org.example.Echo.Say", {{"a", 1}}).value();
  EXPECT_EQ(answer, (json{{"said", {{"a", 1}}}}));
}

TEST_F(VarlinkTest, AnErrorComesBackWithItsReason) {
  const absl::Status status = Call("org.example.Echo.Fail").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "no, bad");
}

TEST_F(VarlinkTest, TheServiceDescribesItself) {
  const json info = Call("org.varlink.service.GetInfo").value();
  EXPECT_EQ(info["interfaces"],
            (json{"org.varlink.service", "org.example.Echo"}));
  EXPECT_EQ(info["product"], "vduse-net");
  EXPECT_FALSE(info["version"].get_ref<const std::string&>().empty());
  const char* describe = "org.varlink.service.GetInterfaceDescription";
  EXPECT_EQ(Call(describe, {{"interface", "org.example.Echo"}})
                .value()["description"],
            kDescription);
  EXPECT_TRUE(Call(describe, {{"interface", "org.varlink.service"}}).ok());
  EXPECT_EQ(
      Call(describe, {{"interface", "org.example.Other"}}).status().message(),
      "org.varlink.service.InterfaceNotFound "
      "{\"interface\":\"org.example.Other\"}");
  EXPECT_EQ(Call(describe).status().message(),
            "org.varlink.service.InvalidParameter "
            "{\"parameter\":\"interface\"}");
}

TEST_F(VarlinkTest, WhatIsUnknownIsNamed) {
  EXPECT_EQ(Call("org.example.Echo.Sing").status().message(),
            "org.varlink.service.MethodNotFound "
            "{\"method\":\"org.example.Echo.Sing\"}");
  EXPECT_EQ(Call("org.varlink.service.Sing").status().message(),
            "org.varlink.service.MethodNotFound "
            "{\"method\":\"org.varlink.service.Sing\"}");
  EXPECT_EQ(Call("org.example.Other.Say").status().message(),
            "org.varlink.service.InterfaceNotFound "
            "{\"interface\":\"org.example.Other\"}");
  EXPECT_EQ(Call("Say").status().message(),
            "org.varlink.service.InterfaceNotFound {\"interface\":\"Say\"}");
}

TEST_F(VarlinkTest, CallsMayComeInPiecesAndManyAtOnce) {
  const base::UniqueFd fd = Connect();
  const std::string call = R"({"method":"org.example.Echo.Say"})";
  const std::string ended = call + '\0';
  for (const char byte : ended) Say(fd, std::string(1, byte));
  EXPECT_EQ(Hear(fd), R"({"parameters":{"said":{}}})");
  Say(fd, ended + ended + ended);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Hear(fd));
  EXPECT_EQ(said_, 4);
}

TEST_F(VarlinkTest, AOnewayCallIsCarriedOutAndNotAnswered) {
  const base::UniqueFd fd = Connect();
  const std::string say =
      R"({"method":"org.example.Echo.Say","parameters":{"n":1},"oneway":true})";
  Say(fd, say + '\0' + R"({"method":"org.example.Echo.Fail"})" + '\0');
  const std::optional<std::string> answer = Hear(fd);
  ASSERT_TRUE(answer);
  EXPECT_NE(answer->find("org.example.Echo.Failed"), std::string::npos);
  EXPECT_EQ(said_, 1);
}

TEST_F(VarlinkTest, WhatIsNoMessageEndsTheConnection) {
  for (const std::string& text :
       {std::string("hello"), std::string("[]"), std::string("{}"),
        std::string(R"({"method":1})"), std::string("\"\xff\""),
        std::string(R"({"method":"org.example.Echo.Say","parameters":[]})"),
        std::string()}) {
    const base::UniqueFd fd = Connect();
    Say(fd, text + '\0');
    EXPECT_FALSE(Hear(fd)) << text;
  }
  EXPECT_EQ(said_, 0);
  EXPECT_TRUE(Call("org.example.Echo.Say").ok()) << "others are served";
}

// To copy such a value would take more stack than there is.
TEST_F(VarlinkTest, AMessageNestedTooDeepEndsTheConnection) {
  constexpr size_t kDeep = 100'000;
  const base::UniqueFd fd = Connect();
  Say(fd, R"({"method":"org.example.Echo.Say","parameters":{"a":)" +
              std::string(kDeep, '[') + std::string(kDeep, ']') + "}}" + '\0');
  EXPECT_EQ(Hear(fd), std::nullopt);
  EXPECT_EQ(said_, 0);
  EXPECT_TRUE(Call("org.example.Echo.Say").ok());
}

TEST_F(VarlinkTest, AMessageWithoutEndEndsTheConnection) {
  const base::UniqueFd fd = Connect();
  const std::string part(kMaxMessageBytes / 4, 'x');
  ssize_t sent = 0;
  for (int i = 0; i < 8 && sent >= 0; ++i) {
    sent = send(fd.get(), part.data(), part.size(), MSG_NOSIGNAL);
  }
  EXPECT_FALSE(Hear(fd));
}

TEST_F(VarlinkTest, WhoDoesNotReadDoesNotHoldUpOthers) {
  const base::UniqueFd fd = Connect();
  const std::string call = R"({"method":"org.example.Echo.Large"})";
  for (int i = 0; i < 4; ++i) Say(fd, call + '\0');
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(Call("org.example.Echo.Say").ok());
  }
  EXPECT_EQ(large_, 1) << "the others wait";
  // It has lost nothing.
  for (int i = 0; i < 4; ++i) {
    const std::optional<std::string> answer = Hear(fd);
    ASSERT_TRUE(answer);
    EXPECT_GT(answer->size(), 1U << 20);
  }
}

TEST_F(VarlinkTest, OfTooManyConnectionsTheMostSilentGoes) {
  std::vector<base::UniqueFd> connections;
  const std::string call =
      std::string(R"({"method":"org.example.Echo.Say"})") + '\0';
  for (size_t i = 0; i < VarlinkServer::kMaxConnections; ++i) {
    connections.push_back(Connect());
    Say(connections.back(), call);
    EXPECT_TRUE(Hear(connections.back()));
  }
  Say(connections.front(), call);
  EXPECT_TRUE(Hear(connections.front()));
  EXPECT_TRUE(Call("org.example.Echo.Say").ok());
  EXPECT_FALSE(Hear(connections[1])) << "closed";
  Say(connections.front(), call);
  EXPECT_TRUE(Hear(connections.front())) << "not closed";
}

TEST_F(VarlinkTest, Row136_DescriptorsThatCameAlongAreNotKept) {
  std::array<int, 2> ends;
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
  const base::UniqueFd out(ends[0]);
  base::UniqueFd in(ends[1]);
  std::string call = std::string(R"({"method":"org.example.Echo.Say"})") + '\0';
  iovec part = {.iov_base = call.data(), .iov_len = call.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_len = CMSG_LEN(sizeof(int));
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  std::memcpy(CMSG_DATA(header), &ends[1], sizeof(int));
  const base::UniqueFd fd = Connect();
  ASSERT_GT(sendmsg(fd.get(), &message, MSG_NOSIGNAL), 0);
  in.Reset();
  EXPECT_TRUE(Hear(fd));
  char byte;
  EXPECT_EQ(read(out.get(), &byte, 1), 0) << "somebody holds the other end";
}

TEST_F(VarlinkTest, Row137_ThousandsOfCallsLeaveNothingOpen) {
  ASSERT_TRUE(Call("org.example.Echo.Say").ok());
  const auto open = [] {
    const std::filesystem::directory_iterator fds("/proc/self/fd");
    return std::distance(begin(fds), end(fds));
  };
  const auto before = open();
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(Call("org.example.Echo.Say").ok()) << i;
  }
  // The server notices a little later that a client is gone.
  for (int i = 0; i < 1000 && open() > before; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_LE(open(), before);
}

TEST_F(VarlinkTest, TheSocketIsForItsOwnerAlone) {
  struct stat status = {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(VarlinkTest, AnotherUserIsToldThatItMayNot) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can be somebody else";
  // As if the file's mode had been given away.
  ASSERT_EQ(chmod(temp_.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod(path_.c_str(), 0666), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (setresuid(kNobody, kNobody, kNobody) != 0) _exit(2);
    const absl::Status status = Call("org.example.Echo.Say").status();
    _exit(status.code() == absl::StatusCode::kPermissionDenied ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(said_, 0) << "and nothing was done";
}

TEST_F(VarlinkTest, WithoutAServerThatIsSaid) {
  serving_.reset();
  EXPECT_TRUE(std::filesystem::is_empty(temp_.path())) << "nothing is left";
  EXPECT_EQ(Call("org.example.Echo.Say").status().code(),
            absl::StatusCode::kNotFound);
  // As a killed process leaves it.
  const base::UniqueFd left(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
  ASSERT_EQ(bind(left.get(), reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address)),
            0);
  EXPECT_EQ(Call("org.example.Echo.Say").status().code(),
            absl::StatusCode::kNotFound);
  const absl::StatusOr<base::UniqueFd> again = VarlinkServer::Listen(path_);
  EXPECT_TRUE(again.ok()) << again.status();
}

TEST(VarlinkPathTest, ANameThatIsTooLongIsAnError) {
  const std::string path = "/tmp/" + std::string(200, 'x');
  EXPECT_EQ(VarlinkServer::Listen(path).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(VarlinkCall(path, "a.b.C", json::object()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace rpc
