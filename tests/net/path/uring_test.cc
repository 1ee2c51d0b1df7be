// SPDX-License-Identifier: Apache-2.0
#include "net/path/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace net {
namespace {

// Packets over a pair of sockets that keep them apart.
class UringTest : public testing::Test {
 protected:
  UringTest() {
    std::array<int, 2> ends;
    EXPECT_EQ(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends.data()), 0);
    ours = base::UniqueFd(ends[0]);
    theirs = base::UniqueFd(ends[1]);
    auto created = Uring::Create(ours.get());
    if (absl::IsUnavailable(created.status())) return;
    EXPECT_TRUE(created.ok()) << created.status();
    uring = std::move(*created);
  }
  void SetUp() override {
    if (!uring) GTEST_SKIP() << "no io_uring here";
  }

  std::string Take() {
    std::array<char, 64> packet;
    const ssize_t n = recv(theirs.get(), packet.data(), packet.size(), 0);
    return n < 0 ? "" : std::string(packet.data(), static_cast<size_t>(n));
  }

  base::UniqueFd ours;
  base::UniqueFd theirs;
  std::unique_ptr<Uring> uring;
};

iovec Segment(std::string& text) {
  return {.iov_base = text.data(), .iov_len = text.size()};
}

TEST_F(UringTest, WritesInOrderInOneOrSeveralSegments) {
  std::string a = "one";
  std::string b = "two";
  std::string c = "three";
  const std::array<iovec, 3> segments = {Segment(a), Segment(b), Segment(c)};
  std::array<Io, 2> packets = {
      Io{.segments = std::span(segments).first(1), .result = {}},
      Io{.segments = std::span(segments).last(2), .result = {}}};
  uring->Transfer(Uring::Op::kWrite, packets);
  EXPECT_EQ(packets[0].result.bytes, 3U);
  EXPECT_EQ(packets[1].result.bytes, 8U);
  EXPECT_EQ(Take(), "one");
  EXPECT_EQ(Take(), "twothree");
}

TEST_F(UringTest, ReadsWhatIsThereAndDoesNotWaitForMore) {
  for (const char* text : {"first", "second"}) {
    ASSERT_GT(send(theirs.get(), text, std::strlen(text), 0), 0);
  }
  std::array<std::array<char, 16>, kMaxBatch> buffers = {};
  std::array<iovec, kMaxBatch> segments;
  std::vector<Io> packets;
  for (size_t i = 0; i < kMaxBatch; ++i) {
    segments[i] = {.iov_base = buffers[i].data(), .iov_len = 16};
    packets.push_back({.segments = {&segments[i], 1}, .result = {}});
  }
  // As often as it takes to go round both rings.
  for (int round = 0; round < 5; ++round) {
    uring->Transfer(Uring::Op::kRead, packets);
    EXPECT_EQ(packets[0].result.bytes, round == 0 ? 5U : 0U);
    EXPECT_EQ(packets[1].result.bytes, round == 0 ? 6U : 0U);
    EXPECT_EQ(packets[2].result.error, EAGAIN);
    EXPECT_EQ(packets.back().result.error, EAGAIN);
  }
  EXPECT_STREQ(buffers[0].data(), "first");
  EXPECT_STREQ(buffers[1].data(), "second");
}

TEST_F(UringTest, ABufferWithoutPagesFailsAlone) {
  ASSERT_GT(send(theirs.get(), "lost", 4, 0), 0);
  std::string text = "kept";
  const iovec nowhere = {.iov_base = nullptr, .iov_len = 4};
  const iovec somewhere = Segment(text);
  Io read = {.segments = {&nowhere, 1}, .result = {}};
  uring->Transfer(Uring::Op::kRead, {&read, 1});
  EXPECT_EQ(read.result.error, EFAULT);
  std::array<Io, 2> writes = {Io{.segments = {&nowhere, 1}, .result = {}},
                              Io{.segments = {&somewhere, 1}, .result = {}}};
  uring->Transfer(Uring::Op::kWrite, writes);
  EXPECT_EQ(writes[0].result.error, EFAULT);
  EXPECT_EQ(writes[1].result.error, 0);
  EXPECT_EQ(Take(), "kept");
}

TEST_F(UringTest, CreatingItSendsNothing) {
  EXPECT_EQ(Take(), "");
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(UringTest, LetsGoOfTheFileAtOnce) {
  uring.reset();
  ours.Reset();
  std::array<char, 1> byte;
  EXPECT_EQ(recv(theirs.get(), byte.data(), byte.size(), MSG_DONTWAIT), 0);
}

TEST(UringCreateTest, WhatCannotBeToldNotToWaitIsRefused) {
  // A file that no read or write can be told not to wait for.
  const base::UniqueFd file(open("/proc/self/comm", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(file);
  EXPECT_TRUE(absl::IsUnavailable(Uring::Create(file.get()).status()));
}

}  // namespace
}  // namespace net
