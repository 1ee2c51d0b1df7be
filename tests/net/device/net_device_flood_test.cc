// SPDX-License-Identifier: Apache-2.0
//
// Drivers that do the same again and again: kick, or make a mistake that is
// logged.
#include <algorithm>
#include <atomic>
#include <map>
#include <sstream>
#include <string>
#include <thread>

#include "net/device/net_device.h"
#include "tests/net/device/net_device_fixture.h"

namespace net {
namespace {

class NetDeviceFloodTest : public NetDeviceTest {
 protected:
  ~NetDeviceFloodTest() override {
    net.reset();  // its threads log
    base::SetMinLogSeverity(static_cast<base::Severity>(99));
  }

  // A thread that kicks every queue for as long as the test lasts.
  class Kicker {
   public:
    explicit Kicker(tests::FakeDevice& device)
        : thread_([this, &device] {
            while (!stop_) {
              for (const uint32_t queue : {kRx, kTx, kCtrl}) device.Kick(queue);
            }
          }) {}
    ~Kicker() {
      stop_ = true;
      thread_.join();
    }

   private:
    std::atomic<bool> stop_ = false;
    std::thread thread_;
  };
};

TEST_F(NetDeviceFloodTest, Row128_AHundredThousandKicksAreOneWakeUp) {
  ASSERT_TRUE(Activate());
  for (int i = 0; i < 100'000; ++i) device.Kick(kCtrl);
  pollfd kick{net->ctrl_kick_fd(), POLLIN, 0};
  ASSERT_EQ(poll(&kick, 1, 0), 1);
  ASSERT_TRUE(net->Serve(Now()).ok());
  EXPECT_EQ(poll(&kick, 1, 0), 0);
  EXPECT_EQ(device.injects(kCtrl), 0U);
}

TEST_F(NetDeviceFloodTest, Row128_KicksWithoutEndHoldNothingUp) {
  constexpr uint8_t kPackets = 20;
  ASSERT_TRUE(Activate());
  const Kicker kicker(device);
  for (uint8_t i = 1; i <= kPackets; ++i) {
    ASSERT_TRUE(Transmits(i));
    ASSERT_TRUE(Receives(i));
    ASSERT_EQ(Command(SetAll(0, {1, 0})), Bytes{0});
    ASSERT_EQ(Answer(device.SendQueueState(kTx)), VDUSE_REQ_RESULT_OK);
  }
  EXPECT_LE(device.injects(kTx), kPackets) << "a kick completes nothing";
  EXPECT_LE(device.injects(kRx), kPackets);
}

// Each round is good for a line of each kind.
TEST_F(NetDeviceFloodTest, Row131_ADriverCannotFloodTheLog) {
  constexpr int kRounds = 500;
  net.reset();
  testing::internal::CaptureStderr();
  base::SetMinLogSeverity(base::Severity::kDebug);
  NewNet();
  NewTap();
  for (int i = 0; i < kRounds; ++i) {
    EXPECT_FALSE(Status(kDriver | VIRTIO_CONFIG_S_DRIVER_OK));
    vduse::QueueInfo bad = rx.info();
    ++bad.desc_addr;
    device.SetQueue(kRx, bad);
    ASSERT_TRUE(Activate());
    for (const uint8_t direction : Bytes{0, 1}) {
      EXPECT_EQ(Command(SetAll(direction, {1, 0})), Bytes{0});
    }
    tx.Chain().ReadableAt(0x7000000000, 60).Offer();
    tx.Kick();
    EXPECT_TRUE(Pump([&] { return !!tx.TakeUsed(); }));
    tx.StoreAvail(vduse::kAvailIdx, static_cast<uint16_t>(kBase + 3 * kSize));
    tx.Kick();
    EXPECT_TRUE(Pump([&] { return LinkStatus() == 0; }));
    (void)Answer(device.SendGroupAsid(7, 0));
    (void)Answer(device.SendGroupAsid(kCtrlGroup, 1));
    ResetAndRestart();
    if (HasFailure()) break;
  }
  net.reset();
  std::istringstream log(testing::internal::GetCapturedStderr());
  std::map<std::string, int> lines;  // by kind: what they say without numbers
  for (std::string line; std::getline(log, line);) {
    line.resize(std::min(line.size(), line.find(" (")));
    std::erase_if(line, [](char c) { return c >= '0' && c <= '9'; });
    ++lines[line];
  }
  EXPECT_GE(lines.size(), 8U);
  for (const auto& [line, count] : lines) EXPECT_LT(count, kRounds) << line;
}

}  // namespace
}  // namespace net
