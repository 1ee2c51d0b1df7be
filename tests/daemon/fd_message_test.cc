// SPDX-License-Identifier: Apache-2.0
#include "daemon/fd_message.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/eventfd.h"

namespace program {
namespace {

struct Message {
  uint64_t number = 0;
};

class FdMessageTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(sockets_.ok()) << sockets_.status(); }

  bool Send(uint64_t number, const std::vector<int>& fds = {}) {
    const Message message = {.number = number};
    return SendMessage(sockets_->ours.get(),
                       std::as_bytes(std::span(&message, 1)), fds,
                       IfFull::kFail);
  }
  absl::StatusOr<std::vector<base::UniqueFd>> Receive() {
    return ReceiveMessage(sockets_->theirs.get(),
                          std::as_writable_bytes(std::span(&received_, 1)),
                          IfEmpty::kFail);
  }

  absl::StatusOr<SocketPair> sockets_ = MakeSocketPair();
  Message received_;
};

TEST_F(FdMessageTest, TheDescriptorsAreOfTheSameFilesInTheSameOrder) {
  std::vector<base::UniqueFd> sent;
  std::vector<int> fds;
  for (size_t i = 0; i < kMaxMessageFds; ++i) {
    sent.push_back(base::MakeEventfd());
    fds.push_back(sent.back().get());
  }
  ASSERT_TRUE(Send(7, fds));
  const auto received = Receive();
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(received_.number, 7U);
  ASSERT_EQ(received->size(), fds.size());
  for (size_t i = 0; i < fds.size(); ++i) {
    base::SignalEventfd((*received)[i].get());
    EXPECT_EQ(base::ClearEventfd(fds[i]), 1U) << i;
  }
}

TEST_F(FdMessageTest, NoMessageAndNoOtherEndAreToldApart) {
  EXPECT_TRUE(absl::IsNotFound(Receive().status()));
  ASSERT_TRUE(Send(1));
  sockets_->ours.Reset();
  EXPECT_TRUE(Receive().ok()) << "what was sent before still comes";
  EXPECT_TRUE(absl::IsUnavailable(Receive().status()));
}

TEST_F(FdMessageTest, SendingToNobodyFails) {
  sockets_->theirs.Reset();
  EXPECT_FALSE(Send(1));
}

TEST_F(FdMessageTest, SendingToOneWhoDoesNotReadFailsAtOnce) {
  int sent = 0;
  while (sent < 1'000'000 && Send(1)) ++sent;
  EXPECT_GT(sent, 0);
  EXPECT_LT(sent, 1'000'000);
  EXPECT_TRUE(Receive().ok());
}

TEST_F(FdMessageTest, TooFewDescriptorsLeftIsAnErrorAndTheMessageComes) {
  const base::UniqueFd one = base::MakeEventfd();
  ASSERT_TRUE(Send(9, {one.get()}));
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 3;  // those that are open stay so
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto received = Receive();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(absl::IsResourceExhausted(received.status()));
  EXPECT_EQ(received_.number, 9U);
}

}  // namespace
}  // namespace program
