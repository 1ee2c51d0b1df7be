// SPDX-License-Identifier: Apache-2.0
#include "coalesce/param_table.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>

namespace coalesce {

void PrintTo(const Params& params, std::ostream* out) {
  *out << params.max_packets << " packets, " << params.max_usecs << " us";
}

namespace {

constexpr Params kOperatorRx{.max_packets = 11, .max_usecs = 111};
constexpr Params kOperatorTx{.max_packets = 22, .max_usecs = 222};
constexpr Params kA{.max_packets = 1, .max_usecs = 10};
constexpr Params kB{.max_packets = 2, .max_usecs = 20};

// Two pairs: queues 0 and 2 receive, 1 and 3 transmit.
class ParamTableTest : public testing::Test {
 protected:
  ParamTableTest() { EnableAll(table); }

  static void EnableAll(ParamTable& to) {
    for (uint32_t queue = 0; queue < to.queue_count(); ++queue) {
      to.SetEnabled(queue, true);
    }
  }

  ParamTable table{2, kOperatorRx, kOperatorTx};
};

TEST_F(ParamTableTest, BeforeTheDriverAsksTheOperatorRules) {
  for (const uint32_t queue : {0U, 2U}) {
    EXPECT_EQ(table.Get(queue), kOperatorRx);
    EXPECT_EQ(table.entry(queue).source, Source::kOperator);
  }
  for (const uint32_t queue : {1U, 3U})
    EXPECT_EQ(table.Get(queue), kOperatorTx);
}

TEST_F(ParamTableTest, WithoutAnOperatorEverythingIsZero) {
  ParamTable plain(1, {}, {});
  EnableAll(plain);
  EXPECT_EQ(plain.Get(0), Params{});
  EXPECT_EQ(plain.Get(1), Params{});
}

TEST_F(ParamTableTest, SettingADirectionReachesAllItsQueuesAndNoOther) {
  table.SetAll(Direction::kRx, kA);
  EXPECT_EQ(table.Get(0), kA);
  EXPECT_EQ(table.Get(2), kA);
  EXPECT_EQ(table.Get(1), kOperatorTx);
  table.SetAll(Direction::kTx, kB);
  EXPECT_EQ(table.Get(0), kA);
  EXPECT_EQ(table.Get(1), kB);
  EXPECT_EQ(table.Get(3), kB);
  EXPECT_EQ(table.entry(3).source, Source::kDriverAll);
}

TEST_F(ParamTableTest, TheLastWriterWins) {
  EXPECT_TRUE(table.SetQueue(2, kA));
  EXPECT_EQ(table.Get(2), kA);
  EXPECT_EQ(table.Get(0), kOperatorRx);
  EXPECT_EQ(table.entry(2).source, Source::kDriverQueue);

  table.SetAll(Direction::kRx, kB);
  EXPECT_EQ(table.Get(2), kB);
  EXPECT_EQ(table.entry(2).source, Source::kDriverAll);

  EXPECT_TRUE(table.SetQueue(2, kA));
  EXPECT_EQ(table.Get(2), kA);
  EXPECT_EQ(table.Get(0), kB);
}

// The sequence of commands in the example of 5.1.6.5.9.
TEST_F(ParamTableTest, TwoPairsAreSetInTurnAsTheSpecificationHasIt) {
  constexpr Params kC{.max_packets = 3, .max_usecs = 30};
  constexpr Params kD{.max_packets = 4, .max_usecs = 40};
  table.SetAll(Direction::kRx, kA);
  EXPECT_EQ(table.Get(0), kA);
  EXPECT_EQ(table.Get(2), kA);
  EXPECT_EQ(table.Get(1), kOperatorTx);
  EXPECT_EQ(table.Get(3), kOperatorTx);
  EXPECT_TRUE(table.SetQueue(0, kB));
  EXPECT_EQ(table.Get(0), kB);
  EXPECT_EQ(table.Get(2), kA);
  EXPECT_TRUE(table.SetQueue(1, kC));
  EXPECT_EQ(table.Get(1), kC);
  EXPECT_EQ(table.Get(3), kOperatorTx);
  table.SetAll(Direction::kTx, kD);
  EXPECT_EQ(table.Get(1), kD);
  EXPECT_EQ(table.Get(3), kD);
  EXPECT_EQ(table.Get(0), kB);
}

TEST_F(ParamTableTest, Row104_OnlyEnabledDataQueuesCanBeSetOrRead) {
  table.SetEnabled(1, false);
  const ParamTable::Snapshot before = table.snapshot();
  for (const uint32_t queue : {1U, 4U, 5U, 0xffffU, UINT32_MAX}) {
    EXPECT_FALSE(table.SetQueue(queue, kA)) << queue;
    EXPECT_FALSE(table.Get(queue)) << queue;
  }
  for (uint32_t queue = 0; queue < table.queue_count(); ++queue) {
    EXPECT_EQ(table.entry(queue).params, before.queues[queue].params);
  }
}

TEST_F(ParamTableTest, AQueueThatComesBackHasWhatWasSetForAllLast) {
  table.SetAll(Direction::kTx, kA);
  EXPECT_TRUE(table.SetQueue(1, kB));
  table.SetEnabled(1, false);
  table.SetEnabled(1, true);
  EXPECT_EQ(table.Get(1), kA);
  EXPECT_EQ(table.entry(1).source, Source::kDriverAll);
}

TEST_F(ParamTableTest, AQueueThatComesBackUnaskedHasTheOperatorsValue) {
  EXPECT_TRUE(table.SetQueue(1, kB));
  table.SetEnabled(1, false);
  table.SetEnabled(1, true);
  EXPECT_EQ(table.Get(1), kOperatorTx);
}

TEST_F(ParamTableTest, WhatIsSetForAllWhileAQueueIsDisabledAwaitsIt) {
  table.SetEnabled(0, false);
  table.SetAll(Direction::kRx, kA);
  table.SetEnabled(0, true);
  EXPECT_EQ(table.Get(0), kA);
}

TEST_F(ParamTableTest, EnablingAnEnabledQueueChangesNothing) {
  EXPECT_TRUE(table.SetQueue(0, kA));
  table.SetEnabled(0, true);
  EXPECT_EQ(table.Get(0), kA);
  table.SetEnabled(77, true);
  EXPECT_FALSE(table.Get(77));
}

TEST_F(ParamTableTest, AResetForgetsAllThatTheDriverSet) {
  table.SetAll(Direction::kRx, kA);
  table.SetAll(Direction::kTx, kA);
  EXPECT_TRUE(table.SetQueue(2, kB));
  table.Reset();
  EXPECT_FALSE(table.Get(0));
  EnableAll(table);
  EXPECT_EQ(table.Get(0), kOperatorRx);
  EXPECT_EQ(table.Get(1), kOperatorTx);
  EXPECT_EQ(table.Get(2), kOperatorRx);
  EXPECT_EQ(table.entry(2).source, Source::kOperator);
}

TEST_F(ParamTableTest, ASuccessorGoesOnWithTheSnapshot) {
  table.SetAll(Direction::kRx, kA);
  EXPECT_TRUE(table.SetQueue(2, kB));
  table.SetEnabled(3, false);
  const Params other{.max_packets = 5, .max_usecs = 55};
  ParamTable successor(2, other, other);
  ASSERT_TRUE(successor.Restore(table.snapshot()));
  EXPECT_EQ(successor.Get(0), kA);
  EXPECT_EQ(successor.Get(1), other) << "its own operator's";
  EXPECT_EQ(successor.Get(2), kB);
  EXPECT_FALSE(successor.Get(3));
  successor.SetEnabled(2, false);
  successor.SetEnabled(2, true);
  EXPECT_EQ(successor.Get(2), kA);
}

TEST_F(ParamTableTest, Row140_ASnapshotOfAnotherShapeIsNotTaken) {
  table.SetAll(Direction::kRx, kA);
  for (const uint32_t pairs : {1U, 3U}) {
    ParamTable other(pairs, {}, {});
    EXPECT_FALSE(other.Restore(table.snapshot()));
    EnableAll(other);
    EXPECT_EQ(other.Get(0), Params{});
  }
}

TEST_F(ParamTableTest, TheOperatorMayChangeWhatTheDriverHasNotAskedFor) {
  ASSERT_TRUE(table.SetQueue(0, kA));
  table.SetOperator(Direction::kRx, kB);
  EXPECT_EQ(table.Get(0), kA) << "the driver wins";
  EXPECT_EQ(table.Get(2), kB);
  EXPECT_EQ(table.Get(1), kOperatorTx);
  table.SetAll(Direction::kTx, kA);
  table.SetOperator(Direction::kTx, kB);
  EXPECT_EQ(table.Get(1), kA);
  EXPECT_EQ(table.entry(3).source, Source::kDriverAll);
  table.Reset();
  EnableAll(table);
  for (const uint32_t queue : {0U, 1U, 2U, 3U}) {
    EXPECT_EQ(table.Get(queue), kB) << "the reset brings the latest back";
    EXPECT_EQ(table.entry(queue).source, Source::kOperator);
  }
}

TEST_F(ParamTableTest, AQueueThatIsDownTakesTheOperatorsLatestAndStaysDown) {
  table.SetEnabled(2, false);
  table.SetOperator(Direction::kRx, kB);
  EXPECT_FALSE(table.Get(2));
  table.SetEnabled(2, true);
  EXPECT_EQ(table.Get(2), kB);
}

TEST_F(ParamTableTest, AGoalIsTheOperatorsAndGivesWayToTheDriver) {
  const Setting goal(kB, Goal{.kind = Goal::Kind::kTargetLatency, .value = 50});
  table.SetOperator(Direction::kRx, goal);
  EXPECT_EQ(table.entry(0).source, Source::kAdaptive);
  EXPECT_EQ(table.setting(0), goal);
  EXPECT_EQ(table.Get(0), (Params{.max_packets = UINT32_MAX, .max_usecs = 50}))
      << "the bounds that it keeps to";
  ASSERT_TRUE(table.SetQueue(0, kA));
  EXPECT_EQ(table.setting(0), Setting(kA));
  EXPECT_EQ(table.setting(2), goal);
  // A successor has an operator setting of its own.
  ParamTable successor(2, kOperatorRx, kOperatorTx);
  ASSERT_TRUE(successor.Restore(table.snapshot()));
  EXPECT_EQ(successor.setting(0), Setting(kA));
  EXPECT_EQ(successor.setting(2), Setting(kOperatorRx));
  EXPECT_EQ(successor.entry(2).source, Source::kOperator);
}

TEST_F(ParamTableTest, EverySourceHasAName) {
  for (const Source source : {Source::kOperator, Source::kDriverAll,
                              Source::kDriverQueue, Source::kAdaptive}) {
    EXPECT_FALSE(SourceName(source).empty());
  }
}

}  // namespace
}  // namespace coalesce
