// SPDX-License-Identifier: Apache-2.0
//
// A queue pair and Linux's transmit side: wherever the indices of the two
// stand to each other, and however notifications are coalesced, a queue that
// was stopped for want of descriptors is woken without a timer.
//
// With TX_MODEL_SWEEP=all in the environment each phase has its turn, which
// takes minutes; without, 32 of each ring.
#include <errno.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "net/path/queue_pair.h"
#include "net/wire/features.h"
#include "tests/net/path/linux_tx_model.h"
#include "tests/support/instant.h"

namespace net {
namespace {

using coalesce::Goal;
using coalesce::Params;
using coalesce::Setting;
using std::chrono::microseconds;
using tests::LinuxTxModel;

// Takes everything and gives nothing.
struct SinkPort final : PacketPort {
  size_t at_once(size_t packets) const override { return packets; }
  void Read(std::span<Io> packets) override {
    for (Io& packet : packets) packet.result = {.error = EAGAIN};
  }
  void Write(std::span<Io> packets) override {
    for (Io& packet : packets) packet.result = {};
  }
};

// How the driver sends until it stops.
struct Pace {
  uint32_t burst;   // packets that come at once
  uint32_t a_step;  // packets to a step of the device
};

std::vector<Setting> Settings() {
  std::vector<Setting> settings = {Params{}};
  for (const uint32_t usecs : {8U, 16U, 50U, 100U, 1000U, 1'000'000U}) {
    for (const uint32_t frames : {2U, 16U, 64U, 96U, 128U, 192U, 256U, 1024U}) {
      settings.emplace_back(Params{.max_packets = frames, .max_usecs = usecs});
    }
  }
  for (const uint32_t usecs : {50U, 1000U}) {
    settings.emplace_back(
        Params{}, Goal{.kind = Goal::Kind::kTargetLatency, .value = usecs});
  }
  for (const uint32_t rate : {1U, 8000U}) {
    settings.emplace_back(Params{},
                          Goal{.kind = Goal::Kind::kMaxRate, .value = rate});
  }
  return settings;
}

class LinuxTxTest : public testing::Test {
 protected:
  // The phase is how many packets go out one by one before the driver sends as
  // many as it can: as far apart are the last notification and the stop.
  struct Run {
    LinuxTxModel::Options driver;
    uint32_t phase;
    Setting setting;
    Pace pace;
  };

  // How often the queue stopped and was not woken, in three times.
  uint32_t Stuck(const Run& run) {
    tests::FakeDevice device(2);
    device.SendStatus(0xf);
    vduse_dev_response response = {};
    response.request_id = device.ReadRequest().value()->request_id;
    EXPECT_TRUE(device.Reply(response).ok());
    tests::DriverMemory memory(device, tests::DriverMemory::kStart, 1 << 16);
    LinuxTxModel driver(device, memory, run.driver);
    QueuePair pair{device, {.mtu = 1500}};
    pair.SetPort(std::make_unique<SinkPort>());
    uint64_t features = Bit(kFeatureVersion1);
    if (run.driver.event_idx) features |= Bit(kFeatureEventIdx);
    EXPECT_TRUE(pair.tx()
                    .Start(driver.info(), features,
                           vduse::Virtqueue::Start::kFresh, run.setting, now_)
                    .ok());
    const uint64_t before = stops_;
    uint32_t stuck = 0;
    injects_ = device.injects(1);
    const auto rest = [&](bool kicked) { Rest(device, driver, pair, kicked); };
    for (int round = 0; round < 3; ++round) {
      for (uint32_t i = 0; i < run.phase; ++i) {
        rest(driver.Send(false));
        now_ += microseconds(1);
      }
      const uint64_t stops = driver.stops();
      bool kicked = false;
      for (uint32_t i = 1; i <= 4 * run.driver.size; ++i) {
        kicked |= driver.Send(i % run.pace.burst != 0);
        if (driver.stopped()) break;
        if (i % run.pace.a_step == 0) {
          pair.Step({.tx_kick = std::exchange(kicked, false)}, clock_);
          Notify(device, driver);
        }
      }
      stops_ += driver.stops() - stops;
      rest(kicked);
      if (driver.stopped()) {
        ++stuck;
        break;
      }
    }
    EXPECT_GT(stops_, before) << "the driver never stopped";
    return stuck;
  }

  // Until neither side has anything more to do, at the same time.
  template <typename Pair>
  void Rest(tests::FakeDevice& device, LinuxTxModel& driver, Pair& pair,
            bool kicked) {
    bool again = true;
    for (int i = 0; again && i < 10'000; ++i) {
      again =
          pair.Step({.tx_kick = std::exchange(kicked, false)}, clock_).again;
      if (Notify(device, driver)) again = true;
    }
    EXPECT_FALSE(again) << "never comes to rest";
  }

  bool Notify(tests::FakeDevice& device, LinuxTxModel& driver) {
    const bool notified = device.injects(1) != injects_;
    injects_ = device.injects(1);
    if (notified) driver.Interrupt();
    driver.Poll();
    return notified;
  }

  void Sweep(bool event_idx, bool napi);

  Instant now_ = tests::At(std::chrono::seconds(1000));
  const std::function<Instant()> clock_ = [this] { return now_; };
  uint64_t injects_ = 0;
  uint64_t stops_ = 0;
};

void LinuxTxTest::Sweep(bool event_idx, bool napi) {
  const char* wanted = getenv("TX_MODEL_SWEEP");
  const bool all = wanted != nullptr && std::string_view(wanted) == "all";
  const std::vector<Setting> settings = Settings();
  // Of settings, paces and packets a phase has one in so many, the next one
  // others.
  const uint32_t one_in = all ? 11 : 97;
  uint64_t runs = 0;
  uint64_t stuck = 0;
  for (const uint32_t size : {32U, 64U, 128U, 256U, 512U, 1024U}) {
    const Pace paces[] = {{.burst = 1, .a_step = UINT32_MAX},
                          {.burst = 16, .a_step = UINT32_MAX},
                          {.burst = 1, .a_step = 96},
                          {.burst = 64, .a_step = 160}};
    uint32_t part = 0;
    const uint32_t stride = all ? 1 : size / 32;
    for (uint32_t phase = 0; phase < size; phase += stride) {
      for (size_t i = 0; i < settings.size(); ++i) {
        for (const Pace& pace : paces) {
          for (const uint32_t descriptors : {1U, 2U, 18U}) {
            if (++part % one_in != 0) continue;
            const Run run = {.driver = {.size = size,
                                        .base = static_cast<uint16_t>(-phase),
                                        .event_idx = event_idx,
                                        .napi = napi,
                                        .descriptors = descriptors},
                             .phase = phase,
                             .setting = settings[i],
                             .pace = pace};
            ++runs;
            if (Stuck(run) == 0 || ++stuck > 10) continue;
            ADD_FAILURE() << fmt::format(
                "stopped and not woken: ring {}, phase {}, setting {} of {}, "
                "bursts of {}, {} packets a step, {} descriptors each",
                size, phase, i, settings.size(), pace.burst, pace.a_step,
                descriptors);
          }
        }
      }
    }
  }
  EXPECT_EQ(stuck, 0U);
  fmt::print("{} runs, {} stops\n", runs, stops_);
}

TEST_F(LinuxTxTest, AStoppedQueueIsWokenWithoutATimer) { Sweep(true, true); }

TEST_F(LinuxTxTest, ItIsAlsoWithoutNapi) { Sweep(true, false); }

TEST_F(LinuxTxTest, ItIsAlsoWithoutEventIdx) {
  Sweep(false, true);
  Sweep(false, false);
}

}  // namespace
}  // namespace net
