// SPDX-License-Identifier: Apache-2.0
//
// Which packets a driver gets that sets every mode there is; Linux's sets two.
// Runs where vhost_vdpa_test.cc does.
#include <linux/if_ether.h>

#include "net/path/rx_filter.h"
#include "tests/tools/vhost_vdpa_fixture.h"

namespace tools {
namespace {

using net::MacAddress;
using net::RxMode;
using enum RxMode;

constexpr MacAddress kGroup = {1, 0, 0x5e, 0x10, 0, 1};

class VhostVdpaFilterTest : public VhostVdpaTest {
 protected:
  void Start() {
    Negotiate(net::kFilterFeatures);
    PlaceQueues();
    ctrl.emplace(*vhost, *memory,
                 DriverQueue::Options{.index = kCtrl, .size = 16});
    Enable({kRx, kTx, kCtrl});
    DriverOk();
  }

  enum class Turn : uint8_t { kOff, kOn };
  void Set(std::initializer_list<RxMode> modes, Turn turn) {
    for (const RxMode mode : modes) {
      Command({0, static_cast<uint8_t>(mode), static_cast<uint8_t>(turn)});
    }
  }
  void Command(const Bytes& command) {
    ctrl->Chain().Readable(command).Writable(1).Offer();
    ctrl->Kick();
    const auto used = Used(*ctrl);
    ASSERT_TRUE(used);
    ASSERT_EQ(used->bytes, Bytes{0});
  }

  // Sends a frame to the device's address, to another address, to a group in
  // the MAC table, to another group, and a broadcast. Returns the letters of
  // those that arrive with these modes on.
  std::string With(std::initializer_list<RxMode> modes, size_t expected) {
    Set(modes, Turn::kOn);
    const MacAddress mine = {2, 0, 0x5e, 0x10, 0, 1};
    const std::pair<char, MacAddress> all[] = {
        {'m', mine},
        {'o', {2, 0, 0x5e, 0x10, 0, 2}},
        {'g', kGroup},
        {'G', {1, 0, 0x5e, 0x10, 0, 2}},
        {'b', {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}};
    while (rx->outstanding() < kQueueSize / 2) OfferRx();
    rx->Kick();
    for (const auto& [letter, mac] : all) {
      Bytes frame = NextFrame();
      std::copy(mac.begin(), mac.end(), frame.begin());
      frame.back() = static_cast<uint8_t>(letter);
      SendToTap(frame);
    }
    std::string through;
    // They stay in order: what is not there yet behind those is filtered.
    while (const auto used = Used(*rx, through.size() < expected ? 2000 : 50)) {
      const Bytes frame = FrameOf(*used);
      // The host has its own to say now and then.
      if (frame[ETH_HLEN - 2] == kEtherType >> 8) {
        through += static_cast<char>(frame.back());
      }
    }
    Set(modes, Turn::kOff);
    return through;
  }
  void ExpectWith(std::initializer_list<RxMode> modes,
                  const std::string& through) {
    EXPECT_EQ(With(modes, through.size()), through);
  }

  std::optional<DriverQueue> ctrl;
};

TEST_F(VhostVdpaFilterTest, EachModeOnAndOff) {
  if (!HasControlQueue()) {
    EXPECT_EQ(vhost->OfferedFeatures() & net::kFilterFeatures, 0U);
    return;
  }
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectWith({}, "mb");
  // MAC_TABLE_SET: no address, one group.
  Bytes table = {1, 0, 0, 0, 0, 0, 1, 0, 0, 0};
  table.insert(table.end(), kGroup.begin(), kGroup.end());
  ASSERT_NO_FATAL_FAILURE(Command(table));
  ExpectWith({}, "mgb");
  ExpectWith({kPromisc}, "mogGb");
  ExpectWith({kAllMulti}, "mgGb");
  ExpectWith({kAllUni}, "mogb");
  ExpectWith({kNoMulti}, "mb");
  ExpectWith({kNoUni}, "gb");
  ExpectWith({kNoBcast}, "mg");
  ExpectWith({kNoMulti, kNoUni, kNoBcast}, "");
  ExpectWith({kAllMulti, kAllUni, kNoMulti}, "mob");
  ExpectWith({kPromisc, kNoMulti, kNoUni, kNoBcast}, "mogGb");
  ExpectWith({}, "mgb");
  // Another driver begins anew.
  vhost->SetStatus(0);
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectWith({}, "mb");
}

}  // namespace
}  // namespace tools
