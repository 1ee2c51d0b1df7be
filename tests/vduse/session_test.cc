// SPDX-License-Identifier: Apache-2.0
#include "vduse/session.h"

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/unique_fd.h"
#include "tests/support/fake_device.h"

namespace vduse {
namespace {

using testing::ElementsAre;
using tests::FakeDevice;

constexpr uint8_t kDriverOk =
    VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
    VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK;

// Records the calls it gets.
class Recorder : public RequestHandler {
 public:
  absl::Status OnStatus(uint8_t status) override {
    calls.push_back("status " + std::to_string(status));
    if (during_status) during_status();
    return status_answer;
  }
  void OnStatusLost(uint8_t status) override {
    calls.push_back("lost " + std::to_string(status));
  }
  void OnIotlbUpdate(uint32_t asid, uint64_t first, uint64_t last) override {
    calls.push_back("iotlb " + std::to_string(asid) + ": " +
                    std::to_string(first) + " " + std::to_string(last));
  }
  absl::StatusOr<QueuePosition> OnQueueState(uint32_t index) override {
    calls.push_back("state " + std::to_string(index));
    if (index >= 2) return absl::InvalidArgumentError("no such queue");
    return QueuePosition{static_cast<uint16_t>(65530 + index)};
  }
  absl::StatusOr<uint32_t> OnGroupAsid(uint32_t group, uint32_t asid) override {
    calls.push_back("asid " + std::to_string(group) + " " +
                    std::to_string(asid));
    if (group >= asids.size()) return absl::OutOfRangeError("no group");
    if (during_asid) during_asid();
    return std::exchange(asids[group], asid);
  }
  void OnQueueReady(uint32_t index, bool ready) override {
    calls.push_back((ready ? "ready " : "not ready ") + std::to_string(index));
  }
  void OnSuspend() override { calls.emplace_back("suspend"); }

  std::vector<std::string> calls;
  absl::Status status_answer;
  std::array<uint32_t, 2> asids{};
  std::function<void()> during_status;
  std::function<void()> during_asid;
};

class SessionTest : public testing::Test {
 protected:
  SessionTest() { base::SetMinLogSeverity(base::Severity::kError); }

  uint32_t Result(uint32_t id) { return device_.ReplyTo(id)->result; }
  int16_t PolledEvents() {
    pollfd poll_fd{.fd = device_.poll_fd(), .events = POLLIN, .revents = 0};
    poll(&poll_fd, 1, 0);
    return poll_fd.revents;
  }

  FakeDevice device_{2};
  Recorder handler_;
};

TEST_F(SessionTest, EachRequestReachesItsHandlerInOrder) {
  device_.SendStatus(1);
  device_.SendIotlbUpdate(4096, 8191);
  device_.SendQueueState(1);
  EXPECT_TRUE(ServeRequests(device_, handler_).ok());
  EXPECT_THAT(handler_.calls,
              ElementsAre("status 1", "iotlb 0: 4096 8191", "state 1"));
}

TEST_F(SessionTest, NewerKernelsRequestsReachTheirHandlers) {
  device_.SendIotlbUpdate(4096, 8191, 1);
  device_.SendGroupAsid(1, 1);
  device_.SendQueueReady(1, true);
  device_.SendQueueReady(0, false);
  device_.SendSuspend();
  EXPECT_TRUE(ServeRequests(device_, handler_).ok());
  EXPECT_THAT(handler_.calls, ElementsAre("iotlb 1: 4096 8191", "asid 1 1",
                                          "ready 1", "not ready 0", "suspend"));
}

TEST_F(SessionTest, AnAddressSpaceForNoGroupIsAnsweredFailed) {
  base::SetMinLogSeverity(static_cast<base::Severity>(99));
  const uint32_t id = device_.SendGroupAsid(2, 0);
  ASSERT_TRUE(ServeRequests(device_, handler_).ok());
  EXPECT_EQ(Result(id), uint32_t{VDUSE_REQ_RESULT_FAILED});
}

TEST_F(SessionTest, AStatusIsInForceOnlyAfterTheAnswer) {
  handler_.during_status = [&] {
    EXPECT_EQ(device_.status(), 0);
    EXPECT_EQ(device_.Inject(0), InjectResult::kNotYet);
  };
  device_.SendStatus(kDriverOk);
  ASSERT_TRUE(ServeRequests(device_, handler_).ok());
  EXPECT_EQ(device_.status(), kDriverOk);
  EXPECT_EQ(device_.Inject(0), InjectResult::kDelivered);
}

TEST_F(SessionTest, ARefusedStatusIsAnsweredFailed) {
  base::SetMinLogSeverity(static_cast<base::Severity>(99));
  handler_.status_answer = absl::InvalidArgumentError("no");
  const uint32_t id = device_.SendStatus(kDriverOk);
  ASSERT_TRUE(ServeRequests(device_, handler_).ok());
  EXPECT_EQ(Result(id), uint32_t{VDUSE_REQ_RESULT_FAILED});
  EXPECT_EQ(device_.status(), 0);
}

TEST_F(SessionTest, TheWholeAddressSpaceArrivesAsItWasSent) {
  const uint32_t id = device_.SendIotlbUpdate(0, UINT64_MAX);
  ASSERT_TRUE(ServeRequests(device_, handler_).ok());
  EXPECT_THAT(handler_.calls, ElementsAre("iotlb 0: 0 18446744073709551615"));
  EXPECT_EQ(Result(id), uint32_t{VDUSE_REQ_RESULT_OK});
}

TEST_F(SessionTest, AQueuesStateIsItsNextAvailableIndex) {
  const uint32_t id = device_.SendQueueState(1);
  ASSERT_TRUE(ServeRequests(device_, handler_).ok());
  const vduse_dev_response reply = *device_.ReplyTo(id);
  EXPECT_EQ(reply.result, uint32_t{VDUSE_REQ_RESULT_OK});
  EXPECT_EQ(reply.vq_state.index, 1U);
  EXPECT_EQ(reply.vq_state.split.avail_index, 65531U);
}

TEST_F(SessionTest, Row15_TheStateOfAQueueThatIsNotThereIsAnsweredFailed) {
  for (const uint32_t index : {2U, 0xffffU, 0xffffffffU}) {
    const uint32_t id = device_.SendQueueState(index);
    ASSERT_TRUE(ServeRequests(device_, handler_).ok());
    EXPECT_EQ(Result(id), uint32_t{VDUSE_REQ_RESULT_FAILED}) << index;
  }
}

TEST_F(SessionTest, Row16_ARequestOfAnUnknownTypeIsAnsweredFailed) {
  for (const uint32_t type : {6U, 7U, 0xffffffffU}) {
    vduse_dev_request request = {};
    request.type = type;
    const uint32_t id = device_.SendRaw(request);
    ASSERT_TRUE(ServeRequests(device_, handler_).ok());
    EXPECT_EQ(Result(id), uint32_t{VDUSE_REQ_RESULT_FAILED}) << type;
  }
  EXPECT_TRUE(handler_.calls.empty());
}

TEST_F(SessionTest, Row16_ThatNothingWaitsIsNoError) {
  EXPECT_TRUE(ServeRequests(device_, handler_).ok());
  EXPECT_TRUE(handler_.calls.empty());
}

// A device whose reads fail, as the kernel's may.
class FailingReads : public FakeDevice {
 public:
  absl::StatusOr<std::optional<vduse_dev_request>> ReadRequest() override {
    return absl::InternalError("the kernel gave 7 bytes of a request");
  }
};

TEST_F(SessionTest, Row16_AReadThatFailsIsReportedAndAnswersNothing) {
  FailingReads device;
  EXPECT_TRUE(absl::IsInternal(ServeRequests(device, handler_)));
  EXPECT_TRUE(handler_.calls.empty());
}

TEST_F(SessionTest, Row17_AnAnswerNobodyWaitsForIsNoError) {
  const uint32_t late = device_.SendStatus(kDriverOk);
  const uint32_t next = device_.SendIotlbUpdate(0, 1);
  handler_.during_status = [&] { device_.Forget(late); };
  EXPECT_TRUE(ServeRequests(device_, handler_).ok());
  EXPECT_FALSE(device_.ReplyTo(late));
  EXPECT_TRUE(device_.ReplyTo(next));
}

TEST_F(SessionTest, AStatusThatTheKernelDoesNotHearOfIsLostAResetIsNot) {
  for (const uint8_t status : {kDriverOk, uint8_t{0}}) {
    const uint32_t late = device_.SendStatus(status);
    handler_.during_status = [&] { device_.Forget(late); };
    ASSERT_TRUE(ServeRequests(device_, handler_).ok());
  }
  const uint32_t refused = device_.SendStatus(kDriverOk);
  handler_.during_status = [&] { device_.Forget(refused); };
  handler_.status_answer = absl::InvalidArgumentError("no");
  base::SetMinLogSeverity(static_cast<base::Severity>(99));
  ASSERT_TRUE(ServeRequests(device_, handler_).ok());
  EXPECT_THAT(handler_.calls,
              ElementsAre("status 15", "lost 15", "status 0", "status 15"));
}

TEST_F(SessionTest, AnAddressSpaceThatTheKernelDoesNotHearOfIsTakenBack) {
  device_.SendGroupAsid(1, 1);
  ASSERT_TRUE(ServeRequests(device_, handler_).ok());
  const uint32_t late = device_.SendGroupAsid(1, 0);
  handler_.during_asid = [&] { device_.Forget(late); };
  ASSERT_TRUE(ServeRequests(device_, handler_).ok());
  EXPECT_EQ(handler_.asids[1], 1U);
}

TEST_F(SessionTest, Row17_ABrokenDeviceEndsTheSession) {
  EXPECT_EQ(PolledEvents() & POLLERR, 0);
  device_.SendStatus(1);
  device_.Break();
  EXPECT_NE(PolledEvents() & POLLERR, 0);
  EXPECT_TRUE(absl::IsAborted(ServeRequests(device_, handler_)));
  EXPECT_TRUE(handler_.calls.empty());
}

TEST_F(SessionTest, Row18_BackToBackResetsAreAllAnswered) {
  device_.SetFeatures(7);
  for (int i = 0; i < 10000; ++i) {
    const uint32_t id = device_.SendStatus(0);
    ASSERT_TRUE(ServeRequests(device_, handler_).ok());
    ASSERT_EQ(Result(id), uint32_t{VDUSE_REQ_RESULT_OK});
  }
  EXPECT_EQ(handler_.calls.size(), 10000U);
  EXPECT_EQ(*device_.NegotiatedFeatures(), 0U);
}

TEST_F(SessionTest, ARequestMadeByAnotherThreadIsAnswered) {
  std::thread driver([&] {
    EXPECT_TRUE(device_.WriteStatus(kDriverOk));
    EXPECT_TRUE(device_.WriteStatus(0));
  });
  while (handler_.calls.size() < 2) {
    pollfd poll_fd{.fd = device_.poll_fd(), .events = POLLIN, .revents = 0};
    poll(&poll_fd, 1, -1);
    EXPECT_TRUE(ServeRequests(device_, handler_).ok());
  }
  driver.join();
}

// Tests of the fake device itself. Other tests rely on it behaving like the
// kernel.

uint64_t Count(const base::UniqueFd& fd) {
  eventfd_t count = 0;
  eventfd_read(fd.get(), &count);
  return count;
}

TEST_F(SessionTest, Row53_TheFakeRemembersOneKickForAQueueThatIsReady) {
  const base::UniqueFd kick(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  device_.Kick(0);
  ASSERT_TRUE(device_.SetKick(0, kick.get()).ok());
  EXPECT_EQ(Count(kick), 0U);
  ASSERT_TRUE(device_.SetKick(0, -1).ok());
  device_.SetReady(0, true);
  device_.Kick(0);
  device_.Kick(0);
  ASSERT_TRUE(device_.SetKick(0, kick.get()).ok());
  EXPECT_EQ(Count(kick), 1U);
  device_.Kick(0);
  EXPECT_EQ(Count(kick), 1U);
}

TEST_F(SessionTest, TheFakeForgetsTheDriverAtAReset) {
  const base::UniqueFd kick(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  device_.SetFeatures(7);
  device_.SetReady(0, true);
  ASSERT_TRUE(device_.SetKick(0, kick.get()).ok());
  device_.SendStatus(0);
  ASSERT_TRUE(ServeRequests(device_, handler_).ok());
  EXPECT_FALSE(device_.GetQueueInfo(0)->ready);
  device_.SetReady(0, true);
  device_.Kick(0);
  EXPECT_EQ(Count(kick), 0U);
}

TEST_F(SessionTest, TheFakesHeldStatusTakesEffectWhenItIsStored) {
  device_.HoldStatus(true);
  device_.SendStatus(kDriverOk);
  ASSERT_TRUE(ServeRequests(device_, handler_).ok());
  EXPECT_EQ(device_.Inject(1), InjectResult::kNotYet);
  device_.StoreStatus();
  EXPECT_EQ(device_.Inject(1), InjectResult::kDelivered);
  EXPECT_EQ(device_.injects(1), 1U);
  EXPECT_EQ(device_.injects(0), 0U);
}

}  // namespace
}  // namespace vduse
