// SPDX-License-Identifier: Apache-2.0
//
// Frames that wait in the TAP while drivers come and go, and those that the TAP
// has lost.
#include <fcntl.h>

#include <fstream>
#include <string>

#include "base/unique_fd.h"
#include "net/device/net_device.h"
#include "tests/net/device/net_device_fixture.h"
#include "tests/support/temp_dir.h"

namespace net {
namespace {

class NetDeviceFramesTest : public NetDeviceTest {
 protected:
  // So many frames wait in the TAP, each with its number at the end.
  void Queue(uint8_t first, uint8_t count) {
    for (uint8_t i = 0; i < count; ++i) {
      ASSERT_TRUE(SendToDevice(kMac, static_cast<uint8_t>(first + i)));
    }
  }
  // The last bytes of so many frames that the driver gets.
  std::string Gets(size_t count) {
    while (rx.outstanding() < 16) rx.Chain().Writable(2048).Offer();
    rx.Kick();
    std::string got;
    EXPECT_TRUE(Pump([&] {
      while (const auto used = rx.TakeUsed()) {
        got += static_cast<char>(used->bytes.back());
      }
      return got.size() >= count;
    })) << got;
    return got;
  }
  uint64_t Stale() {
    for (const std::string& line : net->Summary()) {
      const size_t at = line.find(" stale ");
      if (at != std::string::npos) return std::stoul(line.substr(at + 7));
    }
    return 0;
  }
  bool Discards(uint64_t count) {
    return Pump([&] { return Stale() == count; });
  }
};

TEST_F(NetDeviceFramesTest, ADriverGetsNothingFromBefore) {
  Queue('a', 5);
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Discards(5));
  Queue('A', 2);
  EXPECT_EQ(Gets(2), "AB");
  // Nor does the next, of what came for the one before it or for nobody.
  ASSERT_TRUE(Status(0));
  Queue('b', 3);
  ResetAndRestart();
  Queue('c', 3);
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Discards(11));
  Queue('C', 1);
  EXPECT_EQ(Gets(1), "C");
}

TEST_F(NetDeviceFramesTest, OneThatGoesOnLosesNothing) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ASSERT_TRUE(Status(0));
  Queue('a', 3);
  const DeviceState state = net->state();
  rx.Restart(state.positions[kRx].avail_index);
  tx.Restart(state.positions[kTx].avail_index);
  ctrl.Restart(state.positions[kCtrl].avail_index);
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Gets(3), "abc");
  EXPECT_EQ(Stale(), 0U);
}

TEST_F(NetDeviceFramesTest, NorDoesOneThatHasComeFromElsewhere) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Status(0));
  const DeviceState state = net->state();
  NewNet();
  ASSERT_TRUE(net->Restore(state).ok());
  NewTap();
  rx.Restart(kBase);
  tx.Restart(kBase);
  ctrl.Restart(kBase);
  Queue('a', 3);
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Gets(3), "abc");
}

TEST_F(NetDeviceFramesTest, NorDoesOneWhoseProcessIsReplaced) {
  for (const bool state_is_lost : {false, true}) {
    ASSERT_TRUE(Activate());
    if (state_is_lost) saved.reset();
    NewNet();
    net->Resume(saved);
    NewTap();
    Queue('a', 3);
    EXPECT_EQ(Gets(3), "abc") << state_is_lost;
    ResetAndRestart();
  }
}

TEST_F(NetDeviceFramesTest, ADriverThatBeginsWithASuccessorGetsNothingEither) {
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Transmits());
  ASSERT_TRUE(Status(0));
  NewNet();
  net->Resume(saved);
  NewTap();
  ResetAndRestart();
  Queue('a', 3);
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Discards(3));
  Queue('A', 1);
  EXPECT_EQ(Gets(1), "A");
}

// --- What the TAP has lost --------------------------------------------------

class NetDeviceDropsTest : public NetDeviceFramesTest {
 protected:
  NetDeviceDropsTest() { NewTapWithDrops("100\n"); }

  // A TAP whose interface says that it has dropped so many.
  void NewTapWithDrops(const std::string& dropped) {
    Say(dropped);
    NewTap(base::UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC)));
  }
  void Say(const std::string& text) { std::ofstream(path) << text; }
  uint64_t Overruns() {
    return net->commands().Stats(kRx).value().driver_drops;
  }

  tests::TempDir dir;
  const std::string path = dir.path() + "/tx_dropped";
};

TEST_F(NetDeviceDropsTest, TheyAreOverrunsOfTheFirstQueue) {
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Overruns(), 0U) << "before there was a driver";
  Say("150\n");
  EXPECT_EQ(Overruns(), 50U);
  EXPECT_EQ(net->commands().Stats(kRx).value().drops, 50U);
  EXPECT_EQ(net->commands().Stats(kTx).value().drops, 0U);
  ASSERT_TRUE(Status(0));
  Say("1000\n");
  ResetAndRestart();
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Overruns(), 50U) << "there was no driver to lose them";
  Say("1001\n");
  EXPECT_EQ(Overruns(), 51U);
}

TEST_F(NetDeviceDropsTest, AnotherTapCountsOn) {
  ASSERT_TRUE(Activate());
  Say("110\n");
  EXPECT_EQ(Overruns(), 10U);
  std::ofstream(path).close();
  NewTapWithDrops("3\n");
  Say("4\n");
  EXPECT_EQ(Overruns(), 11U);
}

TEST_F(NetDeviceDropsTest, Row104_AQueueThatTheDriverDoesNotHaveHasNone) {
  EXPECT_FALSE(net->commands().Stats(kCtrl));
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(net->commands().Stats(kRx));
  EXPECT_TRUE(net->commands().Stats(kTx));
  for (const uint32_t queue : {2U, 3U, 4U, 33U, 0xffffU, UINT32_MAX}) {
    EXPECT_FALSE(net->commands().Stats(queue)) << queue;
  }
}

}  // namespace
}  // namespace net
