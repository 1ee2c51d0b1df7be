// SPDX-License-Identifier: Apache-2.0
//
// How commands are taken and answered. What they say: ctrl_commands_test.cc.
#include "net/device/ctrl_queue.h"

#include <unistd.h>

#include "tests/net/device/ctrl_queue_fixture.h"
#include "vduse/sigbus_guard.h"

namespace net {
namespace {

INSTANTIATE_TEST_SUITE_P(Rings, CtrlQueueTest, kEveryKind, KindName);

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

TEST_P(CtrlQueueTest, Row102_AQueryThatFailsIsWrittenUpToTheAck) {
  Bytes query = kVqGet;
  query[2] = 2;
  const uint64_t room = Room(64);
  const Bytes nothing = {0, 0, 0, 0, 0, 0, 0, 0, kErr};
  EXPECT_EQ(RunAt(query, {{room, 64}}), nothing);
  EXPECT_EQ(*memory.At(room + 9), kUntouched);
  EXPECT_EQ(RunAt(query, {{Room(3), 3}, {Room(6), 6}}), nothing);
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
      OfferCut(command, cut);
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
      const Bytes written = Run(wrong, room);
      ASSERT_EQ(written.size(), room) << size;
      EXPECT_EQ(written.back(), kErr) << size;
    }
  }
  EXPECT_TRUE(target.calls.empty());
  EXPECT_EQ(queue->counters().commands, 0U);
}

// Whoever reads on meets memory without pages.
TEST_P(CtrlQueueTest, Row98_AnEndlessPayloadIsNotReadToItsEnd) {
  constexpr uint64_t kAt = 0x10000000;
  constexpr uint32_t kBytes = 3 << 20;
  vduse::SigbusGuard::Install();
  uint8_t* const payload = device.AddRegion(kAt, kBytes);
  ASSERT_EQ(ftruncate(device.RegionFd(kAt), 4096), 0);
  for (const Bytes& command : {kTxSet, kVqGet, Bytes{1, 0}, Bytes{8, 1}}) {
    std::copy(command.begin(), command.end(), payload);
    tests::ChainBuilder chain = Chain();
    for (int i = 0; i < 40; ++i) chain.ReadableAt(kAt, kBytes);
    chain.WritableAt(Room(1), 1).Offer();
    EXPECT_EQ(Serve().bytes, Bytes{kErr});
    EXPECT_EQ(map.TakeFault(), "");
  }
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
      const uint32_t room = command[1] == 3 ? 9 : 1;
      const Bytes written = Run(command, room);
      ASSERT_EQ(written.size(), room) << index;
      EXPECT_EQ(written.back(), kErr) << index;
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

}  // namespace
}  // namespace net
