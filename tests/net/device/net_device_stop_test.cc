// SPDX-License-Identifier: Apache-2.0
//
// How a device's queues stop while packets come: where each stands then is
// what its driver finds in the ring.
#include <unistd.h>

#include <atomic>
#include <thread>

#include "net/device/net_device.h"
#include "tests/net/device/net_device_fixture.h"

namespace net {
namespace {

class NetDeviceStopTest : public NetDeviceTest {
 protected:
  static constexpr int kRounds = 200;
  static constexpr uint32_t kLargeSize = 1024;

  // A thread that sends for as long as the test lasts.
  class Sender {
   public:
    explicit Sender(int fd) : thread_([this, fd] { Run(fd); }) {}
    ~Sender() {
      stop_ = true;
      thread_.join();
    }

   private:
    void Run(int fd) {
      Bytes packet(12 + 60, 1);
      std::fill_n(packet.begin(), 12, 0);
      std::copy(kMac.begin(), kMac.end(), packet.begin() + 12);
      while (!stop_) {
        if (send(fd, packet.data(), packet.size(), MSG_NOSIGNAL) > 0) continue;
        pollfd room{fd, POLLOUT, 0};
        poll(&room, 1, 1);
      }
    }
    std::atomic<bool> stop_ = false;
    std::thread thread_;
  };

  // A driver begins on a ring full of buffers, and `stop` is asked for while
  // packets come. Returns in how many rounds some had come.
  int StopUnderTraffic(const std::function<uint32_t()>& stop) {
    tests::DriverQueue large{
        device, memory, {.index = kRx, .size = kLargeSize, .base = kBase}};
    const Sender sender(wire.get());
    int amid = 0;
    for (int round = 0; round < kRounds && !HasFailure(); ++round) {
      large.Restart(kBase);
      tx.Restart(kBase);
      ctrl.Restart(kBase);
      for (uint32_t i = 0; i < kLargeSize; ++i) {
        large.Chain().Writable(128).Offer();
      }
      EXPECT_TRUE(Activate());
      large.Kick();
      const Instant limit = Now() + std::chrono::seconds(10);
      while (large.used_idx() == kBase && Now() < limit) {
        std::this_thread::yield();
      }
      EXPECT_EQ(Answer(stop()), uint32_t{VDUSE_REQ_RESULT_OK});
      const uint16_t used = large.used_idx();
      EXPECT_EQ(net->state().positions[kRx].avail_index, used)
          << "round " << round;
      if (used != static_cast<uint16_t>(kBase + kLargeSize)) ++amid;
      EXPECT_TRUE(Status(0));
      EXPECT_EQ(large.used_idx(), used) << "it goes on";
      while (large.TakeUsed()) {
      }
    }
    return amid;
  }
};

TEST_F(NetDeviceStopTest, ASuspendAmidTrafficKnowsWhereEachQueueStands) {
  EXPECT_GT(StopUnderTraffic([&] { return device.SendSuspend(); }), 0);
}

TEST_F(NetDeviceStopTest, AQueueTakenAwayAmidTrafficIsKnownToStandWhereItDoes) {
  EXPECT_GT(StopUnderTraffic([&] { return device.SendQueueReady(kRx, false); }),
            0);
}

// Threads and files of a device that is gone.
TEST_F(NetDeviceStopTest, Row143_ADeviceThatEndsAmidTrafficLeavesNothing) {
  const auto threads = [] {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
  };
  tests::DriverQueue large{
      device, memory, {.index = kRx, .size = kLargeSize, .base = kBase}};
  size_t fds_before = 0;
  auto threads_before = threads();
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(Status(0));
    large.Restart(kBase);
    for (uint32_t i = 0; i < kLargeSize; ++i) {
      large.Chain().Writable(128).Offer();
    }
    ASSERT_TRUE(Activate());
    large.Kick();
    {
      const Sender sender(wire.get());
      for (int i = 0; i < 10'000 && large.used_idx() == kBase; ++i) {
        poll(nullptr, 0, 1);
      }
      ASSERT_NE(large.used_idx(), kBase);
      net.reset();
    }
    const size_t fds = OpenFds();
    if (round == 0) {
      fds_before = fds;
      threads_before = threads();
    }
    EXPECT_EQ(fds, fds_before);
    EXPECT_EQ(threads(), threads_before);
    NewNet();
    NewTap();
  }
}

// Another process has a copy of the first TAP, so that it is not closed.
TEST_F(NetDeviceStopTest, Row143_TheEndOfATapThatWasReplacedIsNotItsHeirs) {
  constexpr int kFew = 30;
  std::array<int, 2> ends;
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends.data()),
            0);
  const base::UniqueFd copy(dup(ends[0]));
  base::UniqueFd first(ends[1]);
  std::vector<Tap> tap;
  tap.emplace_back(base::UniqueFd(ends[0]));
  ASSERT_TRUE(net->SetTap(std::move(tap)).ok());
  ASSERT_TRUE(Activate());
  NewTap();
  first.Reset();
  EXPECT_FALSE(PumpUntil(
      *net, device, [&] { return LinkStatus() == 0; }, kFew));
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
}

TEST_F(NetDeviceStopTest, AResetAmidTrafficKnowsWhereEachQueueStands) {
  EXPECT_GT(StopUnderTraffic([&] { return device.SendStatus(0); }), 0);
}

}  // namespace
}  // namespace net
