// SPDX-License-Identifier: Apache-2.0
//
// What the commands say, byte by byte, and what is refused.
#include "tests/net/device/ctrl_queue_fixture.h"

namespace net {
namespace {

using Calls = std::vector<std::string>;

Bytes Concat(Bytes to, const Bytes& more) {
  to.insert(to.end(), more.begin(), more.end());
  return to;
}

template <typename T>
Bytes LittleEndian(T value) {
  Bytes bytes(sizeof(value));
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

// One of MAC_TABLE_SET's two tables, that says it has `entries`.
Bytes Table(uint32_t entries, size_t macs, uint8_t first_byte) {
  Bytes bytes = LittleEndian(entries);
  for (size_t i = 0; i < macs; ++i) {
    const auto number = static_cast<uint8_t>(i);
    bytes = Concat(bytes, {first_byte, 0, 0, 0, 0, number});
  }
  return bytes;
}
const Bytes kMacTableSet = {1, 0};
const Bytes kMacAddrSet = {1, 1, 2, 0, 0, 0, 0, 7};
const Bytes kVlanAdd = {2, 0, 100, 0};
const Bytes kAnnounceAck = {3, 0};

// A request for statistics of one queue.
Bytes StatsOf(uint16_t queue, uint64_t types) {
  return Concat(Concat(LittleEndian(queue), Bytes(6, 0xff)),
                LittleEndian(types));
}
const Bytes kStatsQuery = {8, 0};
const Bytes kStatsGet = {8, 1};
constexpr uint64_t kRxBasic = Bit(0);
constexpr uint64_t kTxBasic = Bit(16);
constexpr uint64_t kCvq = Bit(32);

class CtrlCommandsTest : public CtrlQueueTest {
 protected:
  // Runs a command as Linux lays out those with a result: the status has a
  // descriptor of its own, in front.
  Bytes RunForResult(const Bytes& command, uint32_t room) {
    if (room == 0) return Run(command);
    return RunAt(command, {{Room(1), 1}, {Room(room), room}});
  }
};
INSTANTIATE_TEST_SUITE_P(Rings, CtrlCommandsTest, kEveryKind, KindName);

TEST_P(CtrlCommandsTest, EachRxModeIsSwitchedOnAndOff) {
  for (uint8_t mode = 0; mode < kRxModes; ++mode) {
    EXPECT_EQ(Run({0, mode, 1}), Bytes{kOk});
    EXPECT_EQ(Run({0, mode, 0}), Bytes{kOk});
    EXPECT_EQ(Run({0, mode, 2}), Bytes{kErr}) << "neither on nor off";
    EXPECT_EQ(Run({0, mode}), Bytes{kErr});
    EXPECT_EQ(Run({0, mode, 1, 0}), Bytes{kErr});
  }
  EXPECT_EQ(Run({0, kRxModes, 1}), Bytes{kErr});
  ASSERT_EQ(target.calls.size(), 2 * kRxModes);
  EXPECT_EQ(target.calls[0], "mode 0 on");
  EXPECT_EQ(target.calls[11], "mode 5 off");
}

TEST_P(CtrlCommandsTest, Row103_EachModeNeedsItsFeature) {
  driver.Restart(GetParam().base);
  Make(Bit(kFeatureCtrlRxExtra));
  for (uint8_t mode = 0; mode < kRxModes; ++mode) {
    EXPECT_EQ(Run({0, mode, 1}), Bytes{mode < 2 ? kOk : kErr});
  }
  driver.Restart(GetParam().base);
  Make(Bit(kFeatureCtrlRx));
  for (uint8_t mode = 0; mode < kRxModes; ++mode) {
    EXPECT_EQ(Run({0, mode, 1}), Bytes{mode < 2 ? kErr : kOk});
  }
}

TEST_P(CtrlCommandsTest, Row103_EachCommandNeedsItsFeature) {
  const Bytes table = Concat(kMacTableSet, Bytes(8));
  const std::pair<unsigned, Bytes> cases[] = {
      {kFeatureCtrlRx, table},
      {kFeatureCtrlMacAddr, kMacAddrSet},
      {kFeatureCtrlVlan, kVlanAdd},
      {kFeatureGuestAnnounce, kAnnounceAck},
      {kFeatureDeviceStats, kStatsQuery},
      {kFeatureDeviceStats, kStatsGet}};
  for (const auto& [feature, command] : cases) {
    driver.Restart(GetParam().base);
    Make(Bit(feature));
    target.announcing = true;
    EXPECT_EQ(Run(command), Bytes{kErr}) << FeatureNames(Bit(feature));
    driver.Restart(GetParam().base);
    Make();
    EXPECT_EQ(Run(command), Bytes{kOk}) << FeatureNames(Bit(feature));
  }
}

TEST_P(CtrlCommandsTest, Row108_HashingIsNotOffered) {
  constexpr uint8_t kTypes = 0x3f;
  const Bytes rss = {4, 1, kTypes, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0};
  const Bytes hash = {4, 2, kTypes, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(Run(rss), Bytes{kErr});
  EXPECT_EQ(Run(hash), Bytes{kErr});
  EXPECT_EQ(target.calls, Calls());
}

TEST_P(CtrlCommandsTest, Row109_TablesAreTakenWhereverTheyAreCut) {
  const Bytes command =
      Concat(kMacTableSet, Concat(Table(2, 2, 2), Table(1, 1, 0x33)));
  const Calls expected = {
      "unicast 020000000000 020000000001, multicast 330000000000"};
  for (size_t cut = 0; cut <= command.size(); ++cut) {
    target.calls.clear();
    OfferCut(command, cut);
    EXPECT_EQ(Serve().bytes, Bytes{kOk}) << cut;
    EXPECT_EQ(target.calls, expected) << cut;
  }
}

TEST_P(CtrlCommandsTest, Row109_ATableOfMoreThanFitIsTakenAsAll) {
  constexpr uint32_t kMax = MacTable::kMaxEntries;
  EXPECT_EQ(
      Run(Concat(kMacTableSet, Concat(Table(kMax, kMax, 2), Table(0, 0, 0)))),
      Bytes{kOk});
  EXPECT_EQ(target.calls.back().find("all"), std::string::npos);
  for (const uint32_t many : {kMax + 1, 10'000U}) {
    EXPECT_EQ(Run(Concat(kMacTableSet,
                         Concat(Table(many, many, 2), Table(1, 1, 0x33)))),
              Bytes{kOk});
    EXPECT_NE(target.calls.back().find(" all, multicast 330000000000"),
              std::string::npos)
        << "the second table is found behind the first, however long";
  }
}

TEST_P(CtrlCommandsTest, Row109_TablesThatAreNotAsLongAsTheySayAreErrors) {
  const Bytes one = Table(1, 1, 2);
  const Bytes none = Table(0, 0, 0);
  for (const Bytes& tables :
       {none,                                        // no second one
        Concat(Table(1, 0, 2), none),                // too few
        Concat(none, Table(1, 0, 2)),                //
        Concat(one, Concat(none, Bytes(6))),         // too many
        Concat(Table(UINT32_MAX, 1, 2), none),       //
        Concat(none, Table(UINT32_MAX, 1, 2)),       //
        Concat(Table(0x2aaaaaab, 1, 2), none),       // * 6 is 2 in 32 bits
        Concat(Table(0x80000001, 1, 2), one),        //
        Bytes(7), Bytes(9), Bytes(13), Bytes(4)}) {  // odd lengths
    EXPECT_EQ(Run(Concat(kMacTableSet, tables)), Bytes{kErr});
  }
  EXPECT_EQ(target.calls, Calls());
  EXPECT_EQ(Run(Concat(kMacTableSet, Concat(none, none))), Bytes{kOk});
}

TEST_P(CtrlCommandsTest, Row110_OnlyADevicesAddressOfSixBytesIsTaken) {
  EXPECT_EQ(Run(kMacAddrSet), Bytes{kOk});
  EXPECT_EQ(target.calls, Calls{"mac 020000000007"});
  EXPECT_EQ(Run({1, 1, 3, 0, 0, 0, 0, 7}), Bytes{kErr}) << "multicast";
  EXPECT_EQ(Run({1, 1, 2, 0, 0, 0, 0}), Bytes{kErr});
  EXPECT_EQ(Run({1, 1, 2, 0, 0, 0, 0, 7, 0}), Bytes{kErr});
  EXPECT_EQ(target.calls.size(), 1U);
}

TEST_P(CtrlCommandsTest, Row111_VlansComeAndGoBelow4096) {
  EXPECT_EQ(Run(kVlanAdd), Bytes{kOk});
  EXPECT_EQ(Run({2, 1, 100, 0}), Bytes{kOk});
  EXPECT_EQ(Run({2, 0, 0xff, 0x0f}), Bytes{kOk});
  EXPECT_EQ(Run({2, 0, 0x00, 0x10}), Bytes{kErr});
  EXPECT_EQ(Run({2, 1, 0xff, 0xff}), Bytes{kErr});
  EXPECT_EQ(Run({2, 0, 1}), Bytes{kErr});
  EXPECT_EQ(Run({2, 2, 1, 0}), Bytes{kErr});
  EXPECT_EQ(target.calls,
            (Calls{"vlan 100 on", "vlan 100 off", "vlan 4095 on"}));
}

TEST_P(CtrlCommandsTest, Row112_OffloadsAreSetIfTheyWereNegotiated) {
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

TEST_P(CtrlCommandsTest, Row113_AnAnnouncementIsAcknowledgedOnce) {
  EXPECT_EQ(Run(kAnnounceAck), Bytes{kErr}) << "nobody asked";
  target.announcing = true;
  EXPECT_EQ(Run({3, 0, 0}), Bytes{kErr});
  EXPECT_EQ(Run(kAnnounceAck), Bytes{kOk});
  EXPECT_EQ(Run(kAnnounceAck), Bytes{kErr});
}

TEST_P(CtrlCommandsTest, StatisticsAreTheBasicOnes) {
  EXPECT_EQ(RunForResult(kStatsQuery, 8),
            Concat({kOk}, LittleEndian(kRxBasic | kTxBasic | kCvq)));
}

TEST_P(CtrlCommandsTest, StatisticsOfSeveralQueuesComeInOneReply) {
  EXPECT_EQ(Run({99, 99}), Bytes{kErr});
  const Bytes command = Concat(
      kStatsGet, Concat(StatsOf(0, kRxBasic),
                        Concat(StatsOf(1, kTxBasic), StatsOf(kIndex, kCvq))));
  Bytes expected = {kOk};
  const auto header = [&](uint8_t type, uint8_t of, uint8_t size) {
    expected = Concat(expected, {type, 0, of, 0, 0, 0, size, 0});
  };
  for (uint8_t of = 0; of < 2; ++of) {
    header(of == 0 ? 0 : 16, of, 56);
    for (const uint64_t value : {uint64_t{of} + 1, uint64_t{2}, uint64_t{3},
                                 uint64_t{4}, uint64_t{5}, UINT64_MAX}) {
      expected = Concat(expected, LittleEndian(value));
    }
  }
  header(32, kIndex, 24);
  expected = Concat(expected, LittleEndian(uint64_t{2}));  // commands
  expected = Concat(expected, LittleEndian(uint64_t{1}));  // that were OK
  EXPECT_EQ(RunForResult(command, 136), expected);
}

TEST_P(CtrlCommandsTest, Row99_ARequestThatChangesWhileItIsAnsweredIsReadOnce) {
  const Bytes command = Concat(kStatsGet, StatsOf(0, kRxBasic));
  const Bytes expected = RunForResult(command, 56);
  const Bytes other = Concat(kStatsGet, StatsOf(1, kTxBasic));
  const uint64_t at = memory.Allocate(command.size());
  std::copy(command.begin(), command.end(), memory.At(at));
  target.on_stats = [&] {
    std::copy(other.begin(), other.end(), memory.At(at));
  };
  Chain()
      .ReadableAt(at, static_cast<uint32_t>(command.size()))
      .WritableAt(Room(1), 1)
      .WritableAt(Room(56), 56)
      .Offer();
  EXPECT_EQ(Serve().bytes, expected);
}

TEST_P(CtrlCommandsTest, AReplyIsCutToTheRoomThereIs) {
  const Bytes command = Concat(kStatsGet, StatsOf(0, kRxBasic));
  const Bytes whole = RunForResult(command, 56);
  ASSERT_EQ(whole.size(), 57U);
  EXPECT_EQ(RunForResult(command, 100), whole) << "nothing behind it";
  for (uint32_t room = 0; room < 56; ++room) {
    EXPECT_EQ(RunForResult(command, room),
              Bytes(whole.begin(), whole.begin() + 1 + room));
  }
  EXPECT_EQ(Run(command, 57), whole) << "all in one descriptor";
}

TEST_P(CtrlCommandsTest, OneRequestThatCannotBeAnsweredFailsAll) {
  const Bytes good = StatsOf(0, kRxBasic);
  for (const Bytes& bad :
       {StatsOf(3, kRxBasic), StatsOf(3, kTxBasic), StatsOf(3, 0),
        StatsOf(0xffff, kRxBasic), StatsOf(0, kTxBasic), StatsOf(0, kCvq),
        StatsOf(1, kRxBasic), StatsOf(kIndex, kRxBasic), StatsOf(0, Bit(1)),
        StatsOf(0, kRxBasic | Bit(2)), StatsOf(0, Bit(63)), Bytes(15),
        Bytes(1)}) {
    EXPECT_EQ(RunForResult(Concat(kStatsGet, Concat(good, bad)), 512),
              Bytes{kErr});
  }
  EXPECT_EQ(RunForResult(Concat(kStatsGet, StatsOf(0, 0)), 512), Bytes{kOk})
      << "asks for nothing";
}

TEST_P(CtrlCommandsTest, Row98_RequestsForStatisticsAreBounded) {
  Bytes command = kStatsGet;
  for (int i = 0; i < 64; ++i) command = Concat(command, StatsOf(0, kRxBasic));
  EXPECT_EQ(RunForResult(command, 8192).size(), 1U + 64 * 56);
  command = Concat(command, StatsOf(0, kRxBasic));
  EXPECT_EQ(RunForResult(command, 8192), Bytes{kErr});
}

}  // namespace
}  // namespace net
