// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_NET_DEVICE_CTRL_QUEUE_FIXTURE_H_
#define VDUSE_NET_TESTS_NET_DEVICE_CTRL_QUEUE_FIXTURE_H_

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "net/device/ctrl_queue.h"
#include "net/wire/features.h"
#include "tests/support/fake_device.h"
#include "tests/support/fake_driver.h"
#include "tests/support/instant.h"

namespace net {

using coalesce::Direction;
using coalesce::Params;
using Bytes = std::vector<uint8_t>;

inline constexpr uint32_t kIndex = 2;
inline constexpr uint32_t kSize = 64;
inline constexpr uint8_t kUntouched = 0xee;
inline constexpr uint8_t kOk = 0;
inline constexpr uint8_t kErr = 1;

// The commands byte by byte: class, command, payload.
inline const Bytes kTxSet = {6, 0, 1, 0, 0, 0, 0, 0, 0, 0};
inline const Bytes kRxSet = {6, 1, 0x20, 0, 0, 0, 0x64, 0, 0, 0};
inline const Bytes kVqSet = {6, 2, 1, 0, 0xff, 0xff, 7, 0, 0, 0, 0x2c, 1, 0, 0};
inline const Bytes kVqGet = {6, 3, 1, 0, 0, 0};

inline std::string ParamsText(Params params) {
  return fmt::format("{}/{}", params.max_packets, params.max_usecs);
}

// Writes down what it is told; queues 0 and 1 are enabled data queues.
class Target : public CommandTarget {
 public:
  void SetCoalescing(Direction direction, Params params) override {
    calls.push_back((direction == Direction::kRx ? "rx " : "tx ") +
                    ParamsText(params));
  }
  bool SetQueueCoalescing(uint32_t queue, Params params) override {
    if (queue > 1) return false;
    calls.push_back(fmt::format("queue {} {}", queue, ParamsText(params)));
    queues[queue] = params;
    return true;
  }
  std::optional<Params> QueueCoalescing(uint32_t queue) const override {
    if (queue > 1) return std::nullopt;
    const auto it = queues.find(queue);
    return it == queues.end() ? Params{} : it->second;
  }

  bool SetQueuePairs(uint16_t pairs) override {
    if (pairs == 0 || pairs > 4) return false;
    calls.push_back(fmt::format("pairs {}", pairs));
    return true;
  }

  bool SetGuestOffloads(uint64_t offloads) override {
    if ((offloads & ~Bit(kFeatureGuestCsum)) != 0) return false;
    calls.push_back("offloads " + FeatureNames(offloads));
    return true;
  }

  void SetRxMode(RxMode mode, RxModeSwitch to) override {
    calls.push_back(fmt::format("mode {} {}", static_cast<int>(mode),
                                to == RxModeSwitch::kOn ? "on" : "off"));
  }
  void SetMacTables(const MacTable& unicast,
                    const MacTable& multicast) override {
    const auto text = [](const MacTable& table) {
      std::string macs;
      for (size_t i = 0; i < table.count; ++i) {
        macs += fmt::format(" {:02x}", fmt::join(table.macs[i], ""));
      }
      return macs + (table.overflow != 0 ? " all" : "");
    };
    calls.push_back("unicast" + text(unicast) + ", multicast" +
                    text(multicast));
  }
  bool SetMac(const MacAddress& mac) override {
    if ((mac[0] & 1) != 0) return false;
    calls.push_back(fmt::format("mac {:02x}", fmt::join(mac, "")));
    return true;
  }
  bool AddVlan(uint16_t id) override {
    if (id >= RxFilter::kVlans) return false;
    calls.push_back(fmt::format("vlan {} on", id));
    return true;
  }
  bool DeleteVlan(uint16_t id) override {
    if (id >= RxFilter::kVlans) return false;
    calls.push_back(fmt::format("vlan {} off", id));
    return true;
  }
  bool AcknowledgeAnnounce() override {
    return std::exchange(announcing, false);
  }
  std::optional<QueueStats> Stats(uint32_t queue) const override {
    if (queue > 1) return std::nullopt;
    if (on_stats) on_stats();
    return QueueStats{.kicks = queue + 1,
                      .packets = 2,
                      .bytes = 3,
                      .notifications = 4,
                      .drops = 5,
                      .driver_drops = UINT64_MAX};
  }

  bool announcing = false;
  std::function<void()> on_stats;
  std::vector<std::string> calls;
  std::map<uint32_t, Params> queues;
};

struct Kind {
  uint16_t base;
  bool event_idx;
  bool indirect;
};

class CtrlQueueTest : public testing::TestWithParam<Kind> {
 protected:
  CtrlQueueTest() {
    device.SendStatus(0xf);
    const uint32_t id = device.ReadRequest().value()->request_id;
    vduse_dev_response response = {};
    response.request_id = id;
    EXPECT_TRUE(device.Reply(response).ok());
    Make();
  }

  void Make(uint64_t without = 0) {
    const uint64_t features = kOfferedFeatures & ~without;
    auto ring = vduse::Virtqueue::Create(
        driver.info(), {.event_idx = GetParam().event_idx, .indirect = true},
        vduse::Virtqueue::Start::kFresh, map);
    ASSERT_TRUE(ring.ok()) << ring.status();
    queue.emplace(NotifiedQueue(device, kIndex, std::move(*ring), kSize),
                  features, target);
  }

  tests::ChainBuilder Chain() {
    tests::ChainBuilder chain = driver.Chain();
    if (GetParam().indirect) chain.Indirect();
    return chain;
  }

  // Offers a command in two segments, the first of `cut` bytes.
  void OfferCut(std::span<const uint8_t> command, size_t cut) {
    Chain()
        .Readable(command.first(cut))
        .Readable(command.subspan(cut))
        .Writable(1)
        .Offer();
  }

  // A writable part of `bytes` that shows what was not written.
  uint64_t Room(uint32_t bytes) {
    const uint64_t iova = memory.Allocate(bytes);
    std::memset(memory.At(iova), kUntouched, bytes);
    return iova;
  }

  tests::UsedEntry Serve() {
    EXPECT_FALSE(queue->Serve(now));
    const std::optional<tests::UsedEntry> used = driver.TakeUsed();
    EXPECT_TRUE(used) << "not answered";
    EXPECT_EQ(driver.outstanding(), 0U);
    return used.value_or(tests::UsedEntry{});
  }

  // Runs a command laid out as Linux does and returns what was written.
  Bytes Run(const Bytes& command, uint32_t writable = 1) {
    return RunAt(command, {{Room(writable), writable}});
  }
  Bytes RunAt(const Bytes& command,
              const std::vector<std::pair<uint64_t, uint32_t>>& writable) {
    tests::ChainBuilder chain = Chain();
    const std::span bytes(command);
    chain.Readable(bytes.first(std::min<size_t>(2, bytes.size())));
    if (bytes.size() > 2) chain.Readable(bytes.subspan(2));
    for (const auto& [iova, size] : writable) chain.WritableAt(iova, size);
    chain.Offer();
    return Serve().bytes;
  }

  tests::FakeDevice device{3};
  tests::DriverMemory memory{device};
  tests::DriverQueue driver{device,
                            memory,
                            {.index = kIndex,
                             .size = kSize,
                             .base = GetParam().base,
                             .event_idx = GetParam().event_idx}};
  vduse::IovaMap map{device};
  Target target;
  std::optional<CtrlQueue> queue;
  Instant now = tests::At(std::chrono::seconds(1000));
};

inline const auto kEveryKind =
    testing::Values(Kind{0, false, false}, Kind{0, true, true},
                    Kind{65530, false, true}, Kind{65530, true, false});

inline std::string KindName(const testing::TestParamInfo<Kind>& info) {
  return fmt::format("Base{}{}{}", info.param.base,
                     info.param.event_idx ? "EventIdx" : "Flags",
                     info.param.indirect ? "Indirect" : "Direct");
}

}  // namespace net

#endif  // VDUSE_NET_TESTS_NET_DEVICE_CTRL_QUEUE_FIXTURE_H_
