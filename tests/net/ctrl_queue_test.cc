// SPDX-License-Identifier: Apache-2.0
#include "net/ctrl_queue.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/features.h"
#include "tests/support/fake_device.h"
#include "tests/support/fake_driver.h"

namespace net {
namespace {

using coalesce::Direction;
using coalesce::Params;
using Bytes = std::vector<uint8_t>;

constexpr uint32_t kIndex = 2;
constexpr uint32_t kSize = 64;
constexpr uint8_t kUntouched = 0xee;
constexpr uint8_t kOk = 0;
constexpr uint8_t kErr = 1;

// The commands byte by byte: class, command, payload.
const Bytes kTxSet = {6, 0, 1, 0, 0, 0, 0, 0, 0, 0};
const Bytes kRxSet = {6, 1, 0x20, 0, 0, 0, 0x64, 0, 0, 0};
const Bytes kVqSet = {6, 2, 1, 0, 0xff, 0xff, 7, 0, 0, 0, 0x2c, 1, 0, 0};
const Bytes kVqGet = {6, 3, 1, 0, 0, 0};

std::string Text(Params params) {
  return fmt::format("{}/{}", params.max_packets, params.max_usecs);
}

// Writes down what it is told; queues 0 and 1 are enabled data queues.
class Target : public CommandTarget {
 public:
  void SetCoalescing(Direction direction, Params params) override {
    calls.push_back((direction == Direction::kRx ? "rx " : "tx ") +
                    Text(params));
  }
  bool SetQueueCoalescing(uint32_t queue, Params params) override {
    if (queue > 1) return false;
    calls.push_back(fmt::format("queue {} {}", queue, Text(params)));
    queues[queue] = params;
    return true;
  }
  std::optional<Params> QueueCoalescing(uint32_t queue) const override {
    if (queue > 1) return std::nullopt;
    const auto it = queues.find(queue);
    return it == queues.end() ? Params{} : it->second;
  }

  bool SetGuestOffloads(uint64_t offloads) override {
    if ((offloads & ~Bit(kFeatureGuestCsum)) != 0) return false;
    calls.push_back("offloads " + FeatureNames(offloads));
    return true;
  }

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
  Time now = std::chrono::seconds(1000);
};

INSTANTIATE_TEST_SUITE_P(
    Rings, CtrlQueueTest,
    testing::Values(Kind{0, false, false}, Kind{0, true, true},
                    Kind{65530, false, true}, Kind{65530, true, false}),
    [](const auto& kind) {
      return fmt::format("Base{}{}{}", kind.param.base,
                         kind.param.event_idx ? "EventIdx" : "Flags",
                         kind.param.indirect ? "Indirect" : "Direct");
    });

TEST_P(CtrlQueueTest, WhatEthtoolSendsIsUnderstoodByteForByte) {
  EXPECT_EQ(Run(kTxSet), Bytes{kOk});
  EXPECT_EQ(Run(kRxSet), Bytes{kOk});
  EXPECT_EQ(target.calls, (std::vector<std::string>{"tx 1/0", "rx 32/100"}));
  EXPECT_EQ(queue->counters().commands, 2U);
}

TEST_P(CtrlQueueTest, OneQueueCanBeSetAndReadBack) {
  EXPECT_EQ(Run(kVqSet), Bytes{kOk});
  EXPECT_EQ(target.calls, std::vector<std::string>{"queue 1 7/300"})
      << "whatever `reserved` says";
  const Bytes reply = {7, 0, 0, 0, 0x2c, 1, 0, 0, kOk};
  EXPECT_EQ(RunAt(kVqGet, {{Room(8), 8}, {Room(1), 1}}), reply);
}

TEST_P(CtrlQueueTest, Row102_TheAckOfAQueryMayComeFirst) {
  Run(kVqSet);
  const Bytes reply = {kOk, 7, 0, 0, 0, 0x2c, 1, 0, 0};
  EXPECT_EQ(RunAt(kVqGet, {{Room(1), 1}, {Room(8), 8}}), reply);
  EXPECT_EQ(RunAt(kVqGet, {{Room(1), 1}, {Room(3), 3}, {Room(9), 9}}), reply);
}

TEST_P(CtrlQueueTest, Row102_TheReplyMayBeCutAnywhere) {
  Run(kVqSet);
  const Bytes reply = {7, 0, 0, 0, 0x2c, 1, 0, 0, kOk};
  EXPECT_EQ(Run(kVqGet, 9), reply);
  EXPECT_EQ(Run(kVqGet, 64), reply);
  for (uint32_t cut = 2; cut < 9; ++cut) {
    EXPECT_EQ(RunAt(kVqGet, {{Room(cut), cut}, {Room(9 - cut), 9 - cut}}),
              reply)
        << cut;
  }
}

TEST_P(CtrlQueueTest, Row102_AQueryWithoutRoomForItsReplyIsAnErrorAllOver) {
  for (uint32_t room = 1; room < 9; ++room) {
    EXPECT_EQ(Run(kVqGet, room), Bytes(room, kErr)) << room;
  }
  EXPECT_EQ(queue->counters().commands, 0U);
  EXPECT_EQ(queue->counters().rejected, 8U);
}

TEST_P(CtrlQueueTest, Row102_AQueryThatFailsWritesOneByteWhereTheAckIs) {
  Bytes query = kVqGet;
  query[2] = 2;
  const uint64_t room = Room(9);
  const Bytes written = RunAt(query, {{room, 9}});
  EXPECT_EQ(written.size(), 1U);
  EXPECT_EQ(*memory.At(room + 8), kErr);
  const uint64_t ack = Room(1);
  EXPECT_EQ(RunAt(query, {{ack, 1}, {room, 8}}), Bytes{kErr});
}

TEST_P(CtrlQueueTest, Row95_LessThanAHeaderIsAnError) {
  EXPECT_EQ(Run({6}), Bytes{kErr});
  Chain().Writable(1).Offer();
  EXPECT_EQ(Serve().bytes, Bytes{kErr});
  Chain().Readable(Bytes{}).Writable(1).Offer();
  EXPECT_EQ(Serve().bytes, Bytes{kErr});
  EXPECT_TRUE(target.calls.empty());
}

TEST_P(CtrlQueueTest, Row96_ACommandMayBeCutAnywhere) {
  for (const Bytes& command : {kRxSet, kVqSet}) {
    const std::span bytes(command);
    for (size_t cut = 0; cut <= bytes.size(); ++cut) {
      target.calls.clear();
      Chain()
          .Readable(bytes.first(cut))
          .Readable(bytes.subspan(cut))
          .Writable(1)
          .Offer();
      EXPECT_EQ(Serve().bytes, Bytes{kOk}) << cut;
      EXPECT_EQ(target.calls.size(), 1U);
    }
    tests::ChainBuilder chain = Chain();
    for (size_t i = 0; i < bytes.size(); ++i) {
      chain.Readable(bytes.subspan(i, 1));
    }
    chain.Writable(1).Offer();
    EXPECT_EQ(Serve().bytes, Bytes{kOk});
  }
}

TEST_P(CtrlQueueTest, Row97_APayloadOfAnyOtherLengthIsAnError) {
  for (const Bytes& command : {kTxSet, kRxSet, kVqSet, kVqGet}) {
    for (size_t size = 2; size < 40; ++size) {
      if (size == command.size()) continue;
      Bytes wrong = command;
      wrong.resize(size, 0);
      const uint32_t room = command == kVqGet ? 9 : 1;
      EXPECT_EQ(Run(wrong, room).size(), 1U) << size;
    }
  }
  EXPECT_TRUE(target.calls.empty());
  EXPECT_EQ(queue->counters().commands, 0U);
}

TEST_P(CtrlQueueTest, Row98_AnEndlessPayloadIsNotReadToItsEnd) {
  const uint64_t iova = memory.Allocate(3 << 20);
  std::memcpy(memory.At(iova), kTxSet.data(), kTxSet.size());
  tests::ChainBuilder chain = Chain();
  for (int i = 0; i < 40; ++i) chain.ReadableAt(iova, 3 << 20);
  chain.Writable(1).Offer();
  EXPECT_EQ(Serve().bytes, Bytes{kErr});
}

TEST_P(CtrlQueueTest, Row98_APayloadOver4GiBIsReturnedUnanswered) {
  const uint64_t iova = memory.Allocate(64);
  Chain().ReadableAt(iova, UINT32_MAX).ReadableAt(iova, 10).Writable(1).Offer();
  EXPECT_EQ(Serve().len, 0U);
  EXPECT_EQ(queue->counters().unanswerable, 1U);
}

TEST_P(CtrlQueueTest, Row100_WhereNoStatusFitsTheChainIsReturned) {
  Chain().Readable(kTxSet).Offer();
  EXPECT_EQ(Serve().len, 0U);
  Chain().Readable(kTxSet).Writable(0).Offer();
  EXPECT_EQ(Serve().len, 0U);
  Chain().Readable(kTxSet).WritableAt(0x7000000000, 1).Offer();
  EXPECT_EQ(Serve().len, 0U);
  device.AddRegion(0x8000000, 4096, tests::Perm::kRead);
  Chain().Readable(kTxSet).WritableAt(0x8000000, 1).Offer();
  EXPECT_EQ(Serve().len, 0U);
  Chain().Writable(1).Readable(kTxSet).Offer();
  EXPECT_EQ(Serve().len, 0U);
  EXPECT_TRUE(target.calls.empty()) << "an ack means: in force";
  EXPECT_EQ(queue->counters().unanswerable, 5U);
  EXPECT_EQ(Run(kTxSet), Bytes{kOk});
}

TEST_P(CtrlQueueTest, Row101_OnlyTheFirstByteOfALongStatusIsWritten) {
  const uint64_t room = Room(64);
  EXPECT_EQ(RunAt(kTxSet, {{room, 4}, {room + 8, 4}}), Bytes{kOk});
  EXPECT_EQ(*memory.At(room + 1), kUntouched);
  EXPECT_EQ(*memory.At(room + 8), kUntouched);
}

TEST_P(CtrlQueueTest, Row103_WhatIsNotInTheTableIsAnError) {
  for (unsigned command_class = 0; command_class < 256; ++command_class) {
    for (const uint8_t command : Bytes{0, 1, 4, 255}) {
      if (command_class == 6 && command < 4) continue;
      Bytes unknown = kRxSet;
      unknown[0] = static_cast<uint8_t>(command_class);
      unknown[1] = command;
      ASSERT_EQ(Run(unknown), Bytes{kErr}) << command_class;
    }
  }
  EXPECT_TRUE(target.calls.empty());
}

TEST_P(CtrlQueueTest, Row99_AReplyOverItsOwnQuestionIsStillRight) {
  Run(kVqSet);
  const uint64_t at = Room(16);
  std::copy(kVqGet.begin(), kVqGet.end(), memory.At(at));
  Chain().ReadableAt(at, 6).WritableAt(at, 9).Offer();
  const Bytes reply = {7, 0, 0, 0, 0x2c, 1, 0, 0, kOk};
  EXPECT_EQ(Serve().bytes, reply);
}

TEST_P(CtrlQueueTest, Row103_ACommandOfAFeatureNotNegotiatedIsAnError) {
  driver.Restart(GetParam().base);
  Make(Bit(kFeatureNotfCoal));
  EXPECT_EQ(Run(kTxSet), Bytes{kErr});
  EXPECT_EQ(Run(kRxSet), Bytes{kErr});
  EXPECT_EQ(Run(kVqSet), Bytes{kOk});
  driver.Restart(GetParam().base);
  Make(Bit(kFeatureVqNotfCoal));
  EXPECT_EQ(Run(kVqSet), Bytes{kErr});
  EXPECT_EQ(Run(kVqGet, 9), Bytes{kErr});
  EXPECT_EQ(Run(kTxSet), Bytes{kOk});
}

TEST_P(CtrlQueueTest, Row104_AQueueThatIsNoDataQueueIsAnError) {
  for (const unsigned index : {2U, 3U, 0xffU, 0x100U, 0xffffU}) {
    for (Bytes command : {kVqSet, kVqGet}) {
      command[2] = static_cast<uint8_t>(index);
      command[3] = static_cast<uint8_t>(index >> 8);
      const Bytes written = Run(command, command[1] == 3 ? 9 : 1);
      EXPECT_EQ(written.size(), 1U) << index;
    }
  }
  EXPECT_EQ(queue->counters().rejected, 10U);
  EXPECT_TRUE(target.calls.empty());
}

TEST_P(CtrlQueueTest, Row105_AnyNumberIsPassedOnAsItWasSent) {
  EXPECT_EQ(Run({6, 1, 255, 255, 255, 255, 254, 255, 255, 255}), Bytes{kOk});
  EXPECT_EQ(target.calls, std::vector<std::string>{"rx 4294967295/4294967294"});
}

TEST_P(CtrlQueueTest, Row114_ManyRoundsThroughTheRingStayInStep) {
  for (uint32_t i = 0; i < 5 * kSize; ++i) {
    ASSERT_EQ(Run(kTxSet), Bytes{kOk}) << i;
  }
  EXPECT_EQ(target.calls.size(), 5 * kSize);
}

TEST_P(CtrlQueueTest, Row115_AFloodIsServedInTurnsAndAllAnswered) {
  const uint16_t head = driver.Chain().Readable(kTxSet).Writable(1).Build();
  for (uint32_t i = 0; i < kSize; ++i) driver.OfferHead(head);
  EXPECT_TRUE(queue->Serve(now));
  EXPECT_EQ(target.calls.size(), CtrlQueue::kBudget);
  EXPECT_FALSE(queue->Serve(now));
  EXPECT_EQ(driver.DrainUsed(), kSize);
}

TEST_P(CtrlQueueTest, EachAnswerIsNotifiedAsTheDriverWishes) {
  driver.SetUsedEvent(GetParam().base);
  Run(kTxSet);
  EXPECT_EQ(device.injects(kIndex), 1U);
  driver.SetNoInterrupt(true);
  driver.SetUsedEvent(static_cast<uint16_t>(GetParam().base - 1));
  Run(kTxSet);
  EXPECT_EQ(device.injects(kIndex), 1U);
  EXPECT_FALSE(queue->queue().deadline());
}

TEST_P(CtrlQueueTest, Row54_KicksAreOnAfterEachServe) {
  for (uint32_t i = 0; i < 2 * kSize; ++i) {
    Chain().Readable(kTxSet).Writable(1).Offer();
    ASSERT_TRUE(i == 0 || driver.KickIfWanted()) << i;
    Serve();
  }
}

TEST_P(CtrlQueueTest, Row21_ABrokenRingMakesTheDriverGiveUpOnce) {
  const uint16_t used = driver.used_idx();
  driver.StoreAvail(vduse::kAvailIdx,
                    static_cast<uint16_t>(driver.avail_idx() + kSize + 1));
  EXPECT_FALSE(queue->Serve(now));
  EXPECT_EQ(driver.used_idx(), static_cast<uint16_t>(used + 1));
  EXPECT_EQ(driver.used_elem(used).id, 0xffffU);
  EXPECT_EQ(driver.used_elem(used).len, 0U);
  EXPECT_EQ(device.injects(kIndex), 1U);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(queue->Serve(now));
  EXPECT_EQ(driver.used_idx(), static_cast<uint16_t>(used + 1));
  EXPECT_EQ(device.injects(kIndex), 1U);
}

TEST_P(CtrlQueueTest, Row23_AHeadBeyondTheRingComesAfterWhatWasGood) {
  Chain().Readable(kTxSet).Writable(1).Offer();
  const uint16_t bad = driver.avail_idx();
  driver.StoreAvail(vduse::kAvailRing + (bad & (kSize - 1)), kSize);
  driver.StoreAvail(vduse::kAvailIdx, static_cast<uint16_t>(bad + 1));
  EXPECT_FALSE(queue->Serve(now));
  EXPECT_EQ(target.calls.size(), 1U);
  EXPECT_EQ(driver.used_idx(), static_cast<uint16_t>(GetParam().base + 2));
  EXPECT_EQ(driver.used_elem(static_cast<uint16_t>(GetParam().base + 1)).id,
            0xffffU);
}

TEST_P(CtrlQueueTest, Row118_AnUpdateBetweenCommandsIsHarmless) {
  for (int i = 0; i < 5; ++i) {
    map.DropAll();
    queue->queue().ring().UnmapRings();
    EXPECT_EQ(Run(kTxSet), Bytes{kOk});
  }
}

TEST_P(CtrlQueueTest, Row112_OffloadsAreSetIfTheyWereNegotiated) {
  const Bytes csum = {5, 0, 2, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(Run(csum), Bytes{0});
  EXPECT_EQ(Run({5, 0, 0, 0, 0, 0, 0, 0, 0, 0}), Bytes{0});
  EXPECT_EQ(Run({5, 0, 0x82, 0, 0, 0, 0, 0, 0, 0}), Bytes{1});
  EXPECT_EQ(Run({5, 0, 2, 0, 0, 0, 0, 0, 0, 0x80}), Bytes{1});
  EXPECT_EQ(Run({5, 1, 2, 0, 0, 0, 0, 0, 0, 0}), Bytes{1}) << "no command";
  EXPECT_EQ(Run({5, 0, 2, 0, 0, 0, 0, 0, 0}), Bytes{1}) << "too short";
  EXPECT_EQ(target.calls,
            (std::vector<std::string>{"offloads GUEST_CSUM", "offloads "}));
  Make(Bit(kFeatureCtrlGuestOffloads));
  EXPECT_EQ(Run(csum), Bytes{1}) << "not negotiated";
}

}  // namespace
}  // namespace net
