// SPDX-License-Identifier: Apache-2.0
#include "daemon/hand_over.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <thread>

#include "base/eventfd.h"
#include "base/unix_socket.h"
#include "daemon/fd_message.h"
#include "tests/support/temp_dir.h"

namespace program {
namespace {

class HandOverTest : public testing::Test {
 protected:
  void SetUp() override {
    auto listener = base::ListenAt(path_, SOCK_SEQPACKET, 1);
    ASSERT_TRUE(listener.ok()) << listener.status();
    server_.emplace(std::move(*listener), geteuid());
    estate_.tap.queues.push_back(base::MakeEventfd());
    estate_.tap.queues.push_back(base::MakeEventfd());
    estate_.tap.link_up = true;
  }

  // Serves until the offer is taken, and then ends as a process does.
  std::thread Serving() {
    return std::thread([this] {
      for (;;) {
        pollfd ready = {.fd = server_->fd(), .events = POLLIN, .revents = 0};
        if (poll(&ready, 1, 10'000) != 1) break;
        if (server_->Serve(estate_)) break;
      }
      server_.reset();
    });
  }

  absl::StatusOr<Estate> Take(const std::string& path) {
    return TakeOver(path, [this] {
      ++kills_;
      return killed_;
    });
  }

  int kills_ = 0;        // how often TakeOver() had the process killed
  absl::Status killed_;  // what came of it
  const tests::TempDir temp_;
  const std::string path_ = HandOverSocket(temp_.path(), "vn0");
  std::optional<HandOver> server_;
  Estate estate_;
};

TEST_F(HandOverTest, TheNewSupervisorGetsTheTapAndTheJournal) {
  estate_.tap.drops = base::MakeEventfd();
  estate_.journal = base::MakeEventfd();
  std::thread serving = Serving();
  const absl::StatusOr<Estate> taken = Take(path_);
  serving.join();
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_TRUE(taken->tap.link_up);
  ASSERT_EQ(taken->tap.queues.size(), 2U);
  ASSERT_TRUE(taken->tap.drops);
  ASSERT_TRUE(taken->journal);
  base::SignalEventfd(taken->journal.get());
  EXPECT_EQ(base::ClearEventfd(estate_.journal.get()), 1U);
  base::SignalEventfd(taken->tap.queues[1].get());
  base::SignalEventfd(taken->tap.drops.get());
  EXPECT_EQ(base::ClearEventfd(estate_.tap.queues[0].get()), 0U);
  EXPECT_EQ(base::ClearEventfd(estate_.tap.queues[1].get()), 1U);
  EXPECT_EQ(base::ClearEventfd(estate_.tap.drops.get()), 1U);
}

TEST_F(HandOverTest, ATapWithoutACounterOfDropsIsTakenToo) {
  std::thread serving = Serving();
  const absl::StatusOr<Estate> taken = Take(path_);
  serving.join();
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->tap.queues.size(), 2U);
  EXPECT_FALSE(taken->tap.drops);
  EXPECT_FALSE(taken->journal);
}

TEST_F(HandOverTest, WithoutAProcessThereIsNothingToTake) {
  server_.reset();
  EXPECT_TRUE(absl::IsNotFound(Take(path_).status()));
  EXPECT_TRUE(absl::IsNotFound(Take(path_ + ".other").status()));
}

TEST_F(HandOverTest, AProcessThatDoesNotAnswerIsKilledAndItsTapIsLost) {
  const absl::StatusOr<Estate> taken = Take(path_);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(kills_, 1);
  EXPECT_TRUE(taken->tap.queues.empty());
}

TEST_F(HandOverTest, AProcessThatAnswersAndDoesNotEndIsKilledWithoutItsTap) {
  std::thread serving([this] {
    for (;;) {
      pollfd ready = {.fd = server_->fd(), .events = POLLIN, .revents = 0};
      if (poll(&ready, 1, 10'000) != 1 || server_->Serve(estate_)) break;
    }
  });
  const absl::StatusOr<Estate> taken = Take(path_);
  serving.join();
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(kills_, 1);
  EXPECT_EQ(taken->tap.queues.size(), 2U);
}

TEST_F(HandOverTest, AProcessThatCannotBeKilledIsReported) {
  killed_ = absl::FailedPreconditionError("another program");
  EXPECT_EQ(Take(path_).status(), killed_);
}

TEST_F(HandOverTest, AProcessThatEndsIsNotKilled) {
  std::thread serving = Serving();
  EXPECT_TRUE(Take(path_).ok());
  serving.join();
  EXPECT_EQ(kills_, 0);
}

// Whoever asks and goes away again changes nothing.
TEST_F(HandOverTest, OneWhoOnlyAsksIsNotObeyed) {
  {
    const auto asks = base::ConnectTo(path_, SOCK_SEQPACKET);
    ASSERT_TRUE(asks.ok()) << asks.status();
    EXPECT_FALSE(server_->Serve(estate_));  // the offer
    EXPECT_FALSE(server_->Serve(estate_));  // no answer yet
  }
  EXPECT_FALSE(server_->Serve(estate_));  // gone
  std::thread serving = Serving();
  const absl::StatusOr<Estate> taken = Take(path_);
  serving.join();
  EXPECT_TRUE(taken.ok()) << taken.status();
}

TEST_F(HandOverTest, AnAnswerOfAnotherReleaseIsNotObeyed) {
  const auto asks = base::ConnectTo(path_, SOCK_SEQPACKET);
  ASSERT_TRUE(asks.ok()) << asks.status();
  EXPECT_FALSE(server_->Serve(estate_));
  const uint32_t version = 1000;
  ASSERT_TRUE(SendMessage(asks->get(), std::as_bytes(std::span(&version, 1)),
                          {}, IfFull::kFail));
  EXPECT_FALSE(server_->Serve(estate_));
}

TEST_F(HandOverTest, AnotherUserGetsNothing) {
  server_.reset();
  auto listener = base::ListenAt(path_, SOCK_SEQPACKET, 1);
  ASSERT_TRUE(listener.ok()) << listener.status();
  if (geteuid() == 0) GTEST_SKIP() << "root may always";
  server_.emplace(std::move(*listener), geteuid() + 1);
  const auto asks = base::ConnectTo(path_, SOCK_SEQPACKET);
  ASSERT_TRUE(asks.ok()) << asks.status();
  EXPECT_FALSE(server_->Serve(estate_));
  uint32_t offer = 0;
  EXPECT_TRUE(absl::IsUnavailable(
      ReceiveMessage(asks->get(), std::as_writable_bytes(std::span(&offer, 1)),
                     IfEmpty::kFail)
          .status()));
}

}  // namespace
}  // namespace program
