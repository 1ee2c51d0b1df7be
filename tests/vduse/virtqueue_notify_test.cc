// SPDX-License-Identifier: Apache-2.0
//
// Kicks and notifications: who wants them when (virtio 1.3, 2.7.7 and 2.7.10).
#include <initializer_list>

#include "tests/vduse/virtqueue_fixture.h"

namespace vduse {
namespace {

class NotifyTest : public VirtqueueTest {
 protected:
  // Asks for no notifications, by the flag and by used_event.
  void Silence() {
    bed.driver.SetNoInterrupt(true);
    bed.driver.SetUsedEvent(
        static_cast<uint16_t>(queue().position().avail_index - 1));
  }
};

INSTANTIATE_TEST_SUITE_P(Rings, NotifyTest, kEveryRing, RingName);

TEST_P(NotifyTest, TheFirstFlushAlwaysNotifies) {
  Chain().Readable("x").Offer();
  Complete();
  Silence();
  EXPECT_TRUE(queue().NotificationWanted());
}

TEST_P(NotifyTest, ASilencedDriverIsNotNotified) {
  (void)queue().NotificationWanted();
  for (uint32_t i = 0; i < 3 * kSize; ++i) {
    Silence();
    Chain().Readable("x").Offer();
    Complete();
    ASSERT_FALSE(queue().NotificationWanted()) << i;
  }
}

TEST_P(NotifyTest, ADriverThatWaitsForTheNextEntryIsNotifiedEachTime) {
  (void)queue().NotificationWanted();
  for (uint32_t i = 0; i < 3 * kSize; ++i) {
    bed.driver.SetUsedEvent(queue().position().avail_index);
    Chain().Readable("x").Offer();
    Complete();
    ASSERT_TRUE(queue().NotificationWanted()) << i;
  }
}

TEST_P(NotifyTest, TheThirdEntryIsTheOneThatWasAwaited) {
  (void)queue().NotificationWanted();
  bed.driver.SetUsedEvent(static_cast<uint16_t>(base() + 2));
  std::vector<bool> wanted;
  for (int i = 0; i < 4; ++i) {
    Chain().Readable("x").Offer();
    Complete();
    wanted.push_back(queue().NotificationWanted());
  }
  EXPECT_EQ(wanted, event_idx() ? (std::vector<bool>{false, false, true, false})
                                : (std::vector<bool>{true, true, true, true}));
}

TEST_P(NotifyTest, ABatchThatPassesTheAwaitedEntryNotifies) {
  (void)queue().NotificationWanted();
  bed.driver.SetUsedEvent(static_cast<uint16_t>(base() + 2));
  for (int i = 0; i < 5; ++i) {
    Chain().Readable("x").Offer();
    Complete();
  }
  EXPECT_TRUE(queue().NotificationWanted());
}

TEST_P(NotifyTest, OnlyTheWishInTheNegotiatedFormCounts) {
  (void)queue().NotificationWanted();
  for (uint32_t i = 0; i < 3 * kSize; ++i) {
    // The flag and used_event ask for opposite things, in alternation.
    const bool wanted = i % 2 == 0;
    bed.driver.SetNoInterrupt(event_idx() == wanted);
    bed.driver.SetUsedEvent(static_cast<uint16_t>(
        queue().position().avail_index - (event_idx() == wanted ? 0 : 1)));
    Chain().Readable("x").Offer();
    Complete();
    ASSERT_EQ(queue().NotificationWanted(), wanted) << i;
  }
}

TEST_P(NotifyTest, Row50_NoValueOfFlagsOrEventTouchesTheRing) {
  const std::initializer_list<uint16_t> kGarbage = {
      0, 1, 2, 0x7fff, 0x8000, 0xfffe, 0xffff, base()};
  for (const uint16_t word : kGarbage) {
    bed.driver.StoreAvail(kAvailFlags, word);
    bed.driver.SetUsedEvent(word);
    ExpectWorks("still in order");
    (void)queue().NotificationWanted();
    EXPECT_FALSE(queue().EnableKicks());
  }
  EXPECT_FALSE(queue().broken());
}

TEST_P(NotifyTest, Row53_AKickForNothingFindsNothing) {
  for (int i = 0; i < 3; ++i) {
    bed.driver.Kick();
    EXPECT_FALSE(queue().Pop());
    EXPECT_FALSE(queue().EnableKicks());
  }
  ExpectWorks("then something");
}

TEST_P(NotifyTest, Row54_AChainOfferedWithoutAKickIsSeenWhenKicksAreEnabled) {
  queue().DisableKicks();
  EXPECT_FALSE(queue().Pop());
  Chain().Readable("nobody kicked").Offer();

  EXPECT_TRUE(queue().EnableKicks());

  Complete();
  EXPECT_FALSE(queue().EnableKicks());
}

TEST_P(NotifyTest, EnabledKicksMakeTheDriverKick) {
  for (uint32_t i = 0; i < 3 * kSize; ++i) {
    ASSERT_FALSE(queue().EnableKicks());
    Chain().Readable("x").Offer();
    ASSERT_TRUE(bed.driver.KickIfWanted()) << i;
    Complete();
  }
}

TEST_P(NotifyTest, DisabledKicksKeepTheDriverQuiet) {
  ASSERT_FALSE(queue().EnableKicks());
  Chain().Readable("woken by this").Offer();
  ASSERT_TRUE(bed.driver.KickIfWanted());

  queue().DisableKicks();

  for (int i = 0; i < 4; ++i) {
    Chain().Readable("x").Offer();
    EXPECT_FALSE(bed.driver.KickIfWanted());
  }
}

TEST_P(NotifyTest, TheUsedFlagsSayNoMoreThanWasNegotiated) {
  for (int i = 0; i < 3; ++i) {
    queue().DisableKicks();
    EXPECT_EQ(bed.driver.LoadUsed(kUsedFlags), event_idx() ? 0 : kUsedNoNotify);
    Chain().Readable("x").Offer();
    EXPECT_TRUE(queue().EnableKicks());
    EXPECT_EQ(bed.driver.LoadUsed(kUsedFlags), 0);
    if (event_idx()) {
      EXPECT_EQ(bed.driver.avail_event(), queue().position().avail_index);
    }
    Complete();
  }
}

TEST_P(NotifyTest, ABrokenQueueAsksForNoKicks) {
  queue().Break("test");
  Chain().Readable("x").Offer();
  EXPECT_FALSE(queue().EnableKicks());
}

}  // namespace
}  // namespace vduse
