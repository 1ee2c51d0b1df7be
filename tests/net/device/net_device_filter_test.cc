// SPDX-License-Identifier: Apache-2.0
//
// Which packets a driver gets, under which address; what it is asked to
// announce, and what it can ask.
#include "net/device/net_device.h"
#include "tests/net/device/net_device_fixture.h"

namespace net {
namespace {

using Phase = DeviceState::Phase;

constexpr MacAddress kOther = {2, 0, 0, 0, 0, 2};
constexpr MacAddress kGroup = {0x33, 0x33, 0, 0, 0, 1};
constexpr MacAddress kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

const Bytes kPromiscOn = {0, 0, 1};
const Bytes kPromiscOff = {0, 0, 0};
const Bytes kNoBcastOn = {0, 5, 1};
const Bytes kAnnounceAck = {3, 0};

Bytes MacAddrSet(const MacAddress& mac) {
  Bytes bytes = {1, 1};
  bytes.insert(bytes.end(), mac.begin(), mac.end());
  return bytes;
}
// MAC_TABLE_SET with one group.
Bytes GroupSet(const MacAddress& mac) {
  Bytes bytes = {1, 0, 0, 0, 0, 0, 1, 0, 0, 0};
  bytes.insert(bytes.end(), mac.begin(), mac.end());
  return bytes;
}

class NetDeviceFilterTest : public NetDeviceTest {
 protected:
  // Who gets through: my address, another, a group, broadcast.
  std::string Through() {
    const std::pair<char, MacAddress> all[] = {
        {'m', mine}, {'o', kOther}, {'g', kGroup}, {'b', kBroadcast}};
    while (rx.outstanding() < 4) rx.Chain().Writable(2048).Offer();
    rx.Kick();
    for (const auto& [letter, mac] : all) {
      EXPECT_TRUE(SendToDevice(mac, static_cast<uint8_t>(letter)));
    }
    std::string through;
    uint64_t decided = 0;
    const uint64_t before = filtered_;
    EXPECT_TRUE(Pump([&] {
      while (const auto used = rx.TakeUsed()) {
        through += static_cast<char>(used->bytes.back());
      }
      filtered_ = Filtered();
      decided = through.size() + filtered_ - before;
      return decided == 4;
    })) << decided;
    return through;
  }

  uint64_t Filtered() {
    for (const std::string& line : net->Summary()) {
      const size_t at = line.find(" filtered ");
      if (at != std::string::npos) return std::stoul(line.substr(at + 10));
    }
    return 0;
  }

  MacAddress ShownMac() {
    MacAddress mac;
    const std::vector<uint8_t> config = device.config();
    std::copy_n(config.begin(), mac.size(), mac.begin());
    return mac;
  }

  // The process dies and another takes its place.
  void Succeed() {
    NewNet();
    filtered_ = 0;
    net->Resume(saved);
    NewTap();
  }

  MacAddress mine = kMac;
  uint64_t filtered_ = 0;
};

TEST_F(NetDeviceFilterTest, AnAckMeansThatTheFilterIsInForceAndSaved) {
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Through(), "mb");
  ASSERT_EQ(Command(GroupSet(kGroup)), Bytes{0});
  EXPECT_EQ(saved->rx_filter.multicast.count, 1);
  EXPECT_EQ(Through(), "mgb");
  ASSERT_EQ(Command(kPromiscOn), Bytes{0});
  EXPECT_EQ(Through(), "mogb");
  ASSERT_EQ(Command(kPromiscOff), Bytes{0});
  EXPECT_EQ(Through(), "mgb");
  ASSERT_EQ(Command(kNoBcastOn), Bytes{0});
  EXPECT_EQ(Through(), "mg");
  EXPECT_EQ(saved->rx_filter, net->state().rx_filter);
}

TEST_F(NetDeviceFilterTest, WithoutTheFeatureAllGetsThrough) {
  ASSERT_TRUE(
      Activate(kOfferedFeatures & ~kFilterFeatures & ~Bit(kFeatureEventIdx)));
  EXPECT_EQ(Command(kPromiscOff), Bytes{1});
  EXPECT_EQ(Through(), "mogb");
}

TEST_F(NetDeviceFilterTest, WhoWasToldNoAddressGetsEach) {
  const uint64_t told = kOfferedFeatures & ~Bit(kFeatureEventIdx);
  ASSERT_TRUE(Activate(told & ~Bit(kFeatureMac) & ~Bit(kFeatureCtrlMacAddr)));
  EXPECT_EQ(Through(), "mob");
  EXPECT_EQ(Command(MacAddrSet(kOther)), Bytes{1});
  Succeed();
  EXPECT_EQ(Through(), "mob");
  ResetAndRestart();
  // It says which it has chosen.
  ASSERT_TRUE(Activate(told & ~Bit(kFeatureMac)));
  EXPECT_EQ(Through(), "mob");
  ASSERT_EQ(Command(MacAddrSet(kOther)), Bytes{0});
  EXPECT_EQ(Through(), "ob");
  Succeed();
  EXPECT_EQ(Through(), "ob");
  ResetAndRestart();
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Through(), "mb") << "another driver, which was told";
}

// A VMM answers the driver's commands and sends its own, from memory of its
// own.
TEST_F(NetDeviceFilterTest, AVmmThatSaysAnotherAddressCostsTheDriverNothing) {
  constexpr MacAddress kVmms = {2, 0, 0, 0, 0, 3};
  const uint64_t offered = kOfferedFeatures & ~Bit(kFeatureEventIdx);
  ASSERT_TRUE(net->OnGroupAsid(kCtrlGroup, 1).ok());
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(net->commands().SetMac(kVmms));
  EXPECT_EQ(Through(), "mb");
  ASSERT_TRUE(net->commands().SetMac(kOther));
  EXPECT_EQ(Through(), "mob");
  EXPECT_EQ(saved->rx_filter.mac, kOther) << "the word is kept";
  EXPECT_EQ(saved->rx_filter.unicast.count, 0);
  Succeed();
  EXPECT_EQ(Through(), "mob");
  ASSERT_TRUE(net->commands().SetMac(kMac));
  EXPECT_EQ(Through(), "mb");
  ResetAndRestart();
  ASSERT_TRUE(net->OnGroupAsid(kCtrlGroup, 1).ok());
  ASSERT_TRUE(Activate(offered & ~Bit(kFeatureMac)));
  ASSERT_TRUE(net->commands().SetMac(kVmms));
  EXPECT_EQ(Through(), "mob") << "it was told none, and may have any";
  ResetAndRestart();
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(net->commands().SetMac(kVmms));
  EXPECT_EQ(Through(), "b") << "the driver's own word, as no VMM is between";
}

TEST_F(NetDeviceFilterTest, Row111_AVlanBelow4096IsAddedAndTakenAway) {
  ASSERT_TRUE(Activate());
  EXPECT_FALSE(net->state().rx_filter.HasVlan(100));
  ASSERT_EQ(Command({2, 0, 100, 0}), Bytes{0});
  EXPECT_TRUE(saved->rx_filter.HasVlan(100));
  ASSERT_EQ(Command({2, 1, 100, 0}), Bytes{0});
  EXPECT_FALSE(saved->rx_filter.HasVlan(100));
  for (const uint8_t command : Bytes{0, 1}) {
    EXPECT_EQ(Command({2, command, 0, 0x10}), Bytes{1});
    EXPECT_EQ(Command({2, command, 0xff, 0xff}), Bytes{1});
  }
}

TEST_F(NetDeviceFilterTest, AResetBringsTheFirstFilterAndAddressBack) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(kPromiscOn), Bytes{0});
  ASSERT_EQ(Command(GroupSet(kGroup)), Bytes{0});
  ASSERT_EQ(Command(MacAddrSet(kOther)), Bytes{0});
  ResetAndRestart();
  EXPECT_EQ(ShownMac(), kMac);
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Through(), "mb");
}

TEST_F(NetDeviceFilterTest, Row110_AnAddressIsShownAndFilteredBy) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(MacAddrSet(kOther)), Bytes{0});
  EXPECT_EQ(ShownMac(), kOther);
  EXPECT_EQ(Through(), "ob");
  EXPECT_EQ(Command(MacAddrSet(kGroup)), Bytes{1});
  EXPECT_EQ(Command(MacAddrSet({})), Bytes{1});
  EXPECT_EQ(ShownMac(), kOther);
}

TEST_F(NetDeviceFilterTest, ASuccessorFiltersAsTheOtherDid) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(GroupSet(kGroup)), Bytes{0});
  ASSERT_EQ(Command(MacAddrSet(kOther)), Bytes{0});
  Succeed();
  EXPECT_EQ(Through(), "ogb");
  EXPECT_EQ(ShownMac(), kOther);
}

TEST_F(NetDeviceFilterTest, OneThatKnowsNothingLosesNothing) {
  ASSERT_TRUE(Activate());
  ASSERT_EQ(Command(kPromiscOn), Bytes{0});
  saved.reset();
  Succeed();
  EXPECT_EQ(Through(), "mogb");
  EXPECT_TRUE(net->state().rx_filter.HasVlan(100));
  ResetAndRestart();
  ASSERT_TRUE(Activate());
  EXPECT_EQ(Through(), "mb") << "the next driver is known";
}

TEST_F(NetDeviceFilterTest, ADriverThatGoesOnFindsItsFilterHereAndElsewhere) {
  for (const bool elsewhere : {false, true}) {
    ASSERT_TRUE(Activate());
    ASSERT_TRUE(Transmits());
    ASSERT_EQ(Command(GroupSet(kGroup)), Bytes{0});
    ASSERT_EQ(Command(MacAddrSet(kOther)), Bytes{0});
    ASSERT_TRUE(Status(0));
    EXPECT_EQ(ShownMac(), kMac);
    const DeviceState state = net->state();
    if (elsewhere) {
      NewNet();
      filtered_ = 0;
      ASSERT_TRUE(net->Restore(state).ok());
      NewTap();
    }
    rx.Restart(state.positions[kRx].avail_index);
    tx.Restart(state.positions[kTx].avail_index);
    ctrl.Restart(state.positions[kCtrl].avail_index);
    ASSERT_TRUE(Activate());
    EXPECT_EQ(ShownMac(), kOther);
    EXPECT_EQ(Through(), "ogb");
    ResetAndRestart();
  }
}

// --- Announcing -------------------------------------------------------------

class NetDeviceAnnounceTest : public NetDeviceFilterTest {
 protected:
  // A device with the state of one elsewhere, and its driver.
  void Move(uint64_t features = kOfferedFeatures & ~Bit(kFeatureEventIdx)) {
    ASSERT_TRUE(Activate(features));
    ASSERT_TRUE(Status(0));
    const DeviceState state = net->state();
    NewNet();
    ASSERT_TRUE(net->Restore(state).ok());
    rx.Restart(kBase);
    tx.Restart(kBase);
    ctrl.Restart(kBase);
  }
  bool Announces() {
    return Pump([&] { return (LinkStatus() & kStatusAnnounce) != 0; });
  }
  // Long after anything it does by itself.
  bool IsSilent() {
    while (net->deadline() && *net->deadline() < Now() + kLong) {
      if (!net->Serve(*net->deadline()).ok()) return false;
    }
    return (LinkStatus() & kStatusAnnounce) == 0;
  }
  static constexpr Duration kLong = std::chrono::seconds(1);
};

TEST_F(NetDeviceAnnounceTest, ADriverThatWasMovedIsAskedToAnnounceItself) {
  Move();
  NewTap();
  ASSERT_TRUE(Activate());
  EXPECT_EQ(LinkStatus(), kStatusLinkUp) << "the link comes first";
  const uint64_t before = device.config_injects();
  ASSERT_TRUE(Announces());
  EXPECT_EQ(LinkStatus(), kStatusLinkUp | kStatusAnnounce);
  EXPECT_TRUE(Pump([&] { return device.config_injects() > before; }));
  const uint64_t asked = device.config_injects();
  EXPECT_EQ(Command(kAnnounceAck), Bytes{0});
  EXPECT_EQ(LinkStatus(), kStatusLinkUp) << "before the answer";
  EXPECT_EQ(device.config_injects(), asked);
  EXPECT_FALSE(saved->announce);
  EXPECT_EQ(Command(kAnnounceAck), Bytes{1});
  EXPECT_TRUE(IsSilent());
}

TEST_F(NetDeviceAnnounceTest, OneThatNeverAnswersIsServedAllTheSame) {
  Move();
  NewTap();
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Announces());
  EXPECT_TRUE(Transmits());
  EXPECT_TRUE(Receives());
  EXPECT_EQ(Command(SetAll(1, {5, 50})), Bytes{0});
  ResetAndRestart();
  EXPECT_EQ(LinkStatus(), kStatusLinkUp) << "it was that driver's";
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(IsSilent());
}

TEST_F(NetDeviceAnnounceTest, ItWaitsForTheLink) {
  Move();
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(IsSilent()) << "there is no TAP yet";
  NewTap();
  EXPECT_EQ(LinkStatus(), kStatusLinkUp);
  ASSERT_TRUE(Announces());
  net->SetLink(false);
  EXPECT_EQ(LinkStatus(), 0);
  net->SetLink(true);
  EXPECT_EQ(LinkStatus(), kStatusLinkUp);
  EXPECT_TRUE(Announces());
}

TEST_F(NetDeviceAnnounceTest, ItOutlivesTheProcess) {
  Move();
  NewTap();
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Announces());
  Succeed();
  EXPECT_TRUE(Announces());
  OfferCommand(kAnnounceAck);
  Succeed();  // again, over the driver's answer
  std::optional<tests::UsedEntry> used;
  ASSERT_TRUE(Pump([&] { return !!(used = ctrl.TakeUsed()); }));
  EXPECT_EQ(used->bytes, Bytes{0});
  EXPECT_TRUE(IsSilent());
}

TEST_F(NetDeviceAnnounceTest, ItIsAcknowledgedIfTheProcessDiesBeforeItsAnswer) {
  Move();
  NewTap();
  ASSERT_TRUE(Activate());
  ASSERT_TRUE(Announces());
  ASSERT_TRUE(net->commands().AcknowledgeAnnounce());
  ASSERT_FALSE(saved->announce);
  Succeed();
  EXPECT_EQ(Command(kAnnounceAck), Bytes{0});
  EXPECT_TRUE(IsSilent());
}

TEST_F(NetDeviceAnnounceTest, OnlyWhoCanAndWasMovedIsAsked) {
  ASSERT_TRUE(Activate());
  EXPECT_TRUE(IsSilent());
  EXPECT_EQ(Command(kAnnounceAck), Bytes{1});
  ResetAndRestart();
  const uint64_t without =
      kOfferedFeatures & ~Bit(kFeatureGuestAnnounce) & ~Bit(kFeatureEventIdx);
  Move(without);
  NewTap();
  ASSERT_TRUE(Activate(without));
  EXPECT_TRUE(IsSilent());
}

// --- Statistics -------------------------------------------------------------

TEST_F(NetDeviceFilterTest, StatisticsAreTheDevicesOwn) {
  ASSERT_TRUE(Activate());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Transmits());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Receives());
  EXPECT_EQ(Through(), "mb");
  tx.Chain().Readable(Bytes(13)).Offer();  // no packet
  tx.Kick();
  ASSERT_TRUE(Pump([&] { return !!tx.TakeUsed(); }));
  const std::optional<QueueStats> of_tx = net->commands().Stats(kTx);
  ASSERT_TRUE(of_tx);
  EXPECT_EQ(of_tx->packets, 3U);
  EXPECT_EQ(of_tx->bytes, 3U * 60);
  EXPECT_EQ(of_tx->kicks, 4U);
  EXPECT_EQ(of_tx->notifications, device.injects(kTx));
  EXPECT_EQ(of_tx->drops, 1U);
  EXPECT_EQ(of_tx->driver_drops, 1U);
  const std::optional<QueueStats> of_rx = net->commands().Stats(kRx);
  ASSERT_TRUE(of_rx);
  EXPECT_EQ(of_rx->packets, 7U);
  EXPECT_EQ(of_rx->bytes, 7U * 60);
  EXPECT_EQ(of_rx->kicks, 6U);
  EXPECT_EQ(of_rx->notifications, device.injects(kRx));
  EXPECT_EQ(of_rx->drops, 2U) << "what was not for the driver";
  EXPECT_EQ(of_rx->driver_drops, 0U);
  EXPECT_FALSE(net->commands().Stats(kCtrl)) << "the control queue has its own";
  EXPECT_FALSE(net->commands().Stats(UINT32_MAX));
}

}  // namespace
}  // namespace net
