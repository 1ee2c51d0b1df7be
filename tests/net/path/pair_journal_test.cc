// SPDX-License-Identifier: Apache-2.0
#include "net/path/pair_journal.h"

#include <errno.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "tests/net/path/crash_world.h"

namespace net {
namespace {

using Received = PairJournal::Received;

// The memory of a journal, and one instance after the other that uses it.
class PairJournalTest : public testing::Test {
 protected:
  PairJournalTest() { Next(); }
  void Next() {
    journal.reset();
    journal = std::make_unique<PairJournal>(memory.span());
    journal->TakeUp();
  }

  // The kernel posts a result in `ring`.
  static void Post(const UringMemory& ring, uint32_t entry, uint64_t tag,
                   int result) {
    *ring.completions = 512;
    const io_uring_cqe cqe = {.user_data = tag, .res = result, .flags = 0};
    std::memcpy(ring.rings + 512 + entry * sizeof(cqe), &cqe, sizeof(cqe));
  }
  void Note(uint64_t tag, size_t bytes) {
    journal->Note({.segments = {}, .tag = tag, .result = {.bytes = bytes}});
  }

  SharedMemory memory{PairJournal::kBytes};
  std::unique_ptr<PairJournal> journal;
};

TEST_F(PairJournalTest, ZerosAreAnEmptyJournal) {
  EXPECT_TRUE(journal->kept());
  EXPECT_EQ(journal->SentFrom(0), 0U);
  const std::optional<Received> received = journal->ReceivedAt(0);
  ASSERT_TRUE(received);
  for (const int32_t bytes : received->bytes) EXPECT_LT(bytes, 0);
}

// A standby exists while its predecessor still serves.
TEST_F(PairJournalTest, AnotherProcessIsNotDisturbedBeforeTakeUp) {
  const uint64_t first = journal->Begin(Direction::kTx, {.first = 0});
  const std::vector<uint8_t> before(memory.span().begin(), memory.span().end());
  PairJournal standby(memory.span());
  EXPECT_EQ(std::memcmp(before.data(), memory.span().data(), before.size()), 0);
  standby.TakeUp();
  EXPECT_GT(standby.Begin(Direction::kTx, {.first = 1}), first);
}

TEST_F(PairJournalTest, WithoutMemoryNobodyInheritsIt) {
  PairJournal own{{}};
  EXPECT_FALSE(own.kept());
  EXPECT_EQ(own.SentFrom(0), 0U);
  own.staging()[RxStaging::kBytes - 1] = 1;
}

TEST_F(PairJournalTest, WhatWasSentIsCompletedUpToTheLastPacketSent) {
  const UringMemory ring = *journal->NextRing();
  const uint64_t first = journal->Begin(Direction::kTx, {.first = 65534});
  Post(ring, 63, PairJournal::Tag(first, 0) | 7, 60);
  Post(ring, 0, PairJournal::Tag(first, 2), -EAGAIN);
  Post(ring, 1, PairJournal::Tag(first, 3), 60);
  Post(ring, 2, PairJournal::Tag(first, 4), -EINVAL);
  for (int successor = 0; successor < 3; ++successor) {
    Next();
    EXPECT_EQ(journal->SentFrom(65534), 4U);
    EXPECT_EQ(journal->SentFrom(1), 1U) << "three were completed";
    EXPECT_EQ(journal->SentFrom(2), 0U);
    EXPECT_EQ(journal->SentFrom(100), 0U);
    journal->NextRing();  // the old results go
  }
}

TEST_F(PairJournalTest, ABatchThatWasNotSubmittedHasNoResults) {
  const UringMemory ring = *journal->NextRing();
  const uint64_t first = journal->Begin(Direction::kTx, {.first = 0});
  Post(ring, 0, PairJournal::Tag(first, 0), 60);
  EXPECT_GT(journal->Begin(Direction::kTx, {.first = 1}), first);
  Next();
  EXPECT_EQ(journal->SentFrom(1), 0U);
  EXPECT_EQ(journal->SentFrom(0), 0U);
}

TEST_F(PairJournalTest, TheDirectionsHaveResultsOfTheirOwn) {
  const UringMemory ring = *journal->NextRing();
  const uint64_t rx = journal->Begin(Direction::kRx, {.first = 0});
  const uint64_t tx = journal->Begin(Direction::kTx, {.first = 0});
  EXPECT_NE(rx, tx);
  Post(ring, 0, PairJournal::Tag(rx, 5), 72);
  Next();
  EXPECT_EQ(journal->SentFrom(0), 0U);
  const std::optional<Received> received = journal->ReceivedAt(0);
  ASSERT_TRUE(received);
  EXPECT_EQ(received->bytes[5], 72);
}

TEST_F(PairJournalTest, WhatIsDoneWithDependsOnTheUsedIndex) {
  const uint64_t first =
      journal->Begin(Direction::kRx, {.first = 10, .in_chains = 500});
  for (size_t slot = 0; slot < 4; ++slot) {
    Note(PairJournal::Tag(first, slot), 100 + slot);
  }
  EXPECT_FALSE(journal->ReceivedAt(11)) << "another ring";
  EXPECT_EQ(journal->ReceivedAt(10)->gone, 0U);
  journal->SetProgress(
      {.before = 10, .after = 13, .gone_before = 0, .gone_after = 3});
  Next();
  EXPECT_EQ(journal->ReceivedAt(10)->gone, 0U);
  EXPECT_EQ(journal->ReceivedAt(13)->gone, 3U);
  EXPECT_EQ(journal->ReceivedAt(14)->gone, 3U) << "a bad chain was returned";
  EXPECT_EQ(journal->ReceivedAt(13)->bytes[3], 103);
  EXPECT_EQ(journal->ReceivedAt(13)->batch.in_chains, 500U);
  EXPECT_FALSE(journal->ReceivedAt(13)->whole);
  journal->SetProgress({.before = 13,
                        .after = 13,
                        .gone_before = 3,
                        .gone_after = 4,
                        .whole = true});
  EXPECT_EQ(journal->ReceivedAt(13)->gone, 4U) << "dropped";
  EXPECT_TRUE(journal->ReceivedAt(13)->whole);
}

TEST_F(PairJournalTest, ClearForgetsUnlessASuccessorGoesOn) {
  for (const bool leave : {true, false}) {
    const uint64_t first = journal->Begin(Direction::kRx, {.first = 3});
    Note(first, 60);
    if (leave) journal->Leave();
    journal->Clear(Direction::kRx);
    Next();
    const std::optional<Received> received = journal->ReceivedAt(3);
    EXPECT_EQ(received && received->bytes[0] > 0, leave);
  }
}

TEST_F(PairJournalTest, AnotherLayoutIsAnEmptyJournal) {
  const uint64_t first = journal->Begin(Direction::kRx, {.first = 0});
  Note(first, 60);
  ++memory.span()[6];  // the version
  Next();
  EXPECT_LT(journal->ReceivedAt(0)->bytes[0], 0);
}

// A process that crashed may have written anything anywhere.
TEST(HostileJournalTest, Row149_NoContentHarmsASuccessor) {
  const Scenario scenario = {.name = "Hostile",
                             .rx_frame = 3000,
                             .rx_packets = 9,
                             .rx_buffer = 1024,
                             .rx_buffers = 12,
                             .tx_packets = 6,
                             .room = 3,
                             .mtu = 3000};
  SharedMemory journal(PairJournal::kBytes);
  CrashWorld world(scenario, journal);
  const std::unique_ptr<QueuePair> pair = world.MakePair();
  world.StartQueues(*pair, Virtqueue::Start::kFresh);
  world.SetPort(*pair);
  CrashWorld::Run(*pair);
  Bytes image(CrashWorld::kImageBytes);
  world.Save(image.data());
  std::mt19937 random(1);
  constexpr size_t kHead = CrashWorld::kHeadBytes;
  for (uint32_t round = 0; round < 700; ++round) {
    CrashWorld after(scenario, journal);
    after.Load(image.data());
    const std::span<uint8_t> bytes = after.journal.span().first(kHead);
    // Each byte of the records, and some of the results; then many at once.
    if (round < 200) {
      bytes[8 + round] = static_cast<uint8_t>(random());
    } else if (round < 500) {
      bytes[8 + 4 * round] = static_cast<uint8_t>(random());
    } else {
      for (int i = 0; i < 200; ++i) {
        bytes[8 + random() % (kHead - 8)] = static_cast<uint8_t>(random());
      }
    }
    const std::unique_ptr<QueuePair> next = after.MakePair();
    after.StartQueues(*next, Virtqueue::Start::kRecovered);
    after.SetPort(*next);
    after.port().room = 100;
    after.OfferRx(CrashWorld::kSize - after.rx.outstanding());
    CrashWorld::Run(*next);
    // Packets may be lost or repeated, but the queues go on. TakeUsed() fails
    // for an entry that would harm a driver.
    after.tx.DrainUsed();
    EXPECT_EQ(after.tx.outstanding(), 0U);
    EXPECT_FALSE(next->rx().broken());
    EXPECT_FALSE(next->tx().broken());
    after.rx.DrainUsed();
    ASSERT_FALSE(testing::Test::HasFailure()) << "round " << round;
  }
}

}  // namespace
}  // namespace net
