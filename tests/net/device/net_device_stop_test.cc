// SPDX-License-Identifier: Apache-2.0
//
// How a device's queues stop while packets come: where each stands then is
// what its driver finds in the ring.
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
        if (send(fd, packet.data(), packet.size(), 0) > 0) continue;
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

TEST_F(NetDeviceStopTest, AResetAmidTrafficKnowsWhereEachQueueStands) {
  EXPECT_GT(StopUnderTraffic([&] { return device.SendStatus(0); }), 0);
}

}  // namespace
}  // namespace net
