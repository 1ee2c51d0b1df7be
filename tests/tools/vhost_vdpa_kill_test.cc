// SPDX-License-Identifier: Apache-2.0
//
// The process that serves the device is killed while it has a request that a
// VMM causes, once before it has done anything about it, and once before it
// answers. Its successor must answer, in time and with the same result. Runs
// where vhost_vdpa_test.cc does; SERVING is the process, whose next one stands
// by. Each test kills it once.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/vduse.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>

#include "base/unique_fd.h"
#include "tests/tools/vhost_vdpa_fixture.h"
#include "vduse/uapi.h"

namespace tools {
namespace {

constexpr std::chrono::milliseconds kLimit{1000};

// The tool kill_serving, while it waits for its moment. The command that it
// runs is `cat`: an echo of it tells that the process is followed.
class Killer {
 public:
  // `when` is "request" or "answer".
  Killer(const std::string& when, uint32_t type) {
    std::array<int, 2> in = {};
    std::array<int, 2> out = {};
    if (pipe2(in.data(), O_CLOEXEC) != 0) return;
    to_ = base::UniqueFd(in[1]);
    const base::UniqueFd cat_reads(in[0]);
    if (pipe2(out.data(), O_CLOEXEC) != 0) return;
    from_ = base::UniqueFd(out[0]);
    const base::UniqueFd cat_writes(out[1]);
    pid_ = fork();
    if (pid_ != 0) return;
    dup2(cat_reads.get(), STDIN_FILENO);
    dup2(cat_writes.get(), STDOUT_FILENO);
    execlp("kill_serving", "kill_serving", Variable("SERVING", "").c_str(),
           when.c_str(), std::to_string(type).c_str(), "cat", nullptr);
    _exit(127);
  }

  // Waits until the process is followed.
  [[nodiscard]] bool Follows() const {
    char byte = '.';
    return pid_ > 0 && write(to_.get(), &byte, 1) == 1 &&
           read(from_.get(), &byte, 1) == 1;
  }

  // Waits until the process has been killed; false if there was no such moment.
  [[nodiscard]] bool HasKilled() {
    to_.Reset();
    int status = 1;
    return waitpid(pid_, &status, 0) == pid_ && status == 0;
  }

 private:
  base::UniqueFd to_;
  base::UniqueFd from_;
  pid_t pid_ = -1;
};

class KillTest : public VhostVdpaTest,
                 public testing::WithParamInterface<const char*> {
 protected:
  // The process is killed while it has the request that `call` causes.
  void KillDuring(uint32_t type, const std::function<void()>& call) {
    Killer killer(GetParam(), type);
    ASSERT_TRUE(killer.Follows());
    const auto begin = std::chrono::steady_clock::now();
    call();
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - begin);
    ASSERT_TRUE(killer.HasKilled()) << "it has not got such a request";
    fmt::print("ms={}\n", took.count());
    EXPECT_LE(took, kLimit);
  }

  // Transmits a frame that lies in the region at kApart.
  void OfferTxFrom(uint8_t* data, const Bytes& frame) {
    std::memcpy(data, frame.data(), frame.size());
    tx->Chain()
        .Readable(Bytes(net::kHeaderBytes))
        .ReadableAt(kApart, static_cast<uint32_t>(frame.size()))
        .Offer();
    tx->Kick();
  }
};
INSTANTIATE_TEST_SUITE_P(Moments, KillTest,
                         testing::Values("request", "answer"),
                         [](const auto& moment) {
                           return std::string(moment.param);
                         });

TEST_P(KillTest, UpdateIotlbOfANewRegion) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(ExpectWorks());
  uint8_t* data = nullptr;
  ASSERT_NO_FATAL_FAILURE(KillDuring(
      VDUSE_UPDATE_IOTLB, [&] { data = vhost->AddRegion(kApart, kPage); }));
  const Bytes frame = NextFrame();
  OfferTxFrom(data, frame);
  ASSERT_EQ(FromTap(), frame);
  ASSERT_TRUE(Used(*tx));
  ExpectWorks();
}

TEST_P(KillTest, UpdateIotlbOfARegionThatGoesAway) {
  uint8_t* data = vhost->AddRegion(kApart, kPage);
  ASSERT_NO_FATAL_FAILURE(Start());
  const Bytes frame = NextFrame();
  OfferTxFrom(data, frame);
  ASSERT_EQ(FromTap(), frame);
  ASSERT_TRUE(Used(*tx));
  ASSERT_NO_FATAL_FAILURE(
      KillDuring(VDUSE_UPDATE_IOTLB, [&] { vhost->Unmap(kApart); }));
  OfferTxFrom(data, NextFrame());
  ASSERT_TRUE(Used(*tx)) << "lost";
  EXPECT_EQ(FromTap(50), Bytes()) << "sent from memory that was gone";
  ExpectWorks();
}

TEST_P(KillTest, GetVqState) {
  ASSERT_NO_FATAL_FAILURE(Start());
  constexpr uint16_t kSent = 5;
  for (int i = 0; i < kSent; ++i) ASSERT_NO_FATAL_FAILURE(ExpectTransmits());
  // Newer kernels ask for it only of a device that does not run.
  if (IsNewKernel()) {
    ASSERT_EQ(vhost->Suspend(), 0);
  }
  ASSERT_NO_FATAL_FAILURE(KillDuring(
      VDUSE_GET_VQ_STATE, [&] { EXPECT_EQ(vhost->Position(kTx), kSent); }));
  if (!IsNewKernel()) ExpectWorks();
}

// --- What Linux 7.3 adds
// -------------------------------------------------------

TEST_P(KillTest, SetVqReadyThatTakesAQueueAway) {
  if (!IsNewKernel()) GTEST_SKIP() << "there is no such request";
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(ExpectWorks());
  ASSERT_NO_FATAL_FAILURE(
      KillDuring(vduse::kRequestSetQueueReady, [&] { vhost->Disable(kTx); }));
  const Bytes frame = NextFrame();
  OfferTx(frame);
  tx->Kick();
  ASSERT_EQ(FromTap(50), Bytes());
  ASSERT_NO_FATAL_FAILURE(ExpectReceives());
  vhost->Enable(kTx);
  ASSERT_EQ(FromTap(), frame);
  ASSERT_TRUE(Used(*tx));
  ExpectWorks();
}

TEST_P(KillTest, SetVqReadyThatBringsAQueueBack) {
  if (!IsNewKernel()) GTEST_SKIP() << "there is no such request";
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(ExpectWorks());
  vhost->Disable(kTx);
  const Bytes frame = NextFrame();
  OfferTx(frame);
  tx->Kick();
  ASSERT_NO_FATAL_FAILURE(
      KillDuring(vduse::kRequestSetQueueReady, [&] { vhost->Enable(kTx); }));
  ASSERT_EQ(FromTap(), frame);
  ASSERT_TRUE(Used(*tx));
  ASSERT_EQ(FromTap(20), Bytes()) << "sent twice";
  ExpectWorks();
}

TEST_P(KillTest, SetVqGroupAsid) {
  if (!IsNewKernel() || !HasControlQueue()) {
    GTEST_SKIP() << "there is one address space";
  }
  ASSERT_NO_FATAL_FAILURE(KillDuring(vduse::kRequestSetGroupAsid, [&] {
    EXPECT_EQ(vhost->SetGroupAsid(vhost->GroupOf(kRx), 1), 0);
  }));
  // The same addresses, and other memory.
  AddMemory(1);
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectWorks();
  vhost->SetStatus(0);
  ASSERT_EQ(vhost->SetGroupAsid(vhost->GroupOf(kRx), 0), 0);
}

TEST_P(KillTest, Suspend) {
  if (!IsNewKernel()) GTEST_SKIP() << "there is no such request";
  ASSERT_NO_FATAL_FAILURE(Start());
  constexpr uint16_t kSent = 5;
  for (int i = 0; i < kSent; ++i) ASSERT_NO_FATAL_FAILURE(ExpectTransmits());
  for (int i = 0; i < 3; ++i) ASSERT_NO_FATAL_FAILURE(ExpectReceives());
  ASSERT_NO_FATAL_FAILURE(KillDuring(vduse::kRequestSuspend,
                                     [&] { EXPECT_EQ(vhost->Suspend(), 0); }));
  EXPECT_EQ(vhost->Position(kTx), kSent);
  EXPECT_EQ(vhost->Position(kRx), 3);
  // Nothing moves any more.
  OfferTx(NextFrame());
  tx->Kick();
  EXPECT_EQ(FromTap(50), Bytes());
  EXPECT_FALSE(Used(*tx, 0));
  // Only a reset ends it.
  vhost->SetStatus(0);
  ASSERT_NO_FATAL_FAILURE(Negotiate());
  PlaceQueues(3, kSent);
  Enable({kRx, kTx});
  DriverOk();
  ExpectWorks();
}

}  // namespace
}  // namespace tools
