// SPDX-License-Identifier: Apache-2.0
#include "simulate/capture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "simulate/replay.h"
#include "simulate/timeline.h"
#include "tests/support/instant.h"

namespace simulate {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using tests::At;

absl::StatusOr<Capture> Read(const std::string& name,
                             const CaptureFilter& filter = {}) {
  return ReadCapture(std::string(VDUSE_NET_CAPTURES) + "/" + name, filter);
}

const Arrivals kThree = {Instant{}, At(microseconds(2)), At(microseconds(5))};

TEST(CaptureTest, EveryFormatIsRead) {
  for (const char* name :
       {"usecs.pcap", "usecs_big_endian.pcap", "nsecs.pcap",
        "nsecs_big_endian.pcap", "usecs.pcapng", "nsecs_big_endian.pcapng",
        "two_interfaces.pcapng", "no_ethernet.pcap"}) {
    const absl::StatusOr<Capture> capture = Read(name);
    ASSERT_TRUE(capture.ok()) << capture.status();
    EXPECT_EQ(capture->arrivals, kThree) << name;
    EXPECT_EQ(capture->packets, 3U) << name;
    EXPECT_THAT(capture->warnings, IsEmpty()) << name;
  }
}

TEST(CaptureTest, WhatIsCutShortIsLeftOutAndSaid) {
  const Capture capture = Read("cut_short.pcap").value();
  EXPECT_EQ(capture.arrivals, (Arrivals{Instant{}, At(microseconds(2))}));
  EXPECT_THAT(capture.warnings,
              ElementsAre(HasSubstr("cut short after packet 2: truncated")));
}

TEST(CaptureTest, AFilterSaysWhichPacketsCount) {
  const std::string host = "52:54:00:00:00:01";
  const struct {
    CaptureFilter filter;
    Arrivals wanted;
  } cases[] = {
      {{.expression = "udp port 53"}, {Instant{}, At(microseconds(1))}},
      {{.expression = "tcp"}, {Instant{}, At(microseconds(1))}},
      {{.from = host}, {Instant{}, At(microseconds(2))}},
      {{.to = host}, {Instant{}, At(microseconds(2))}},
      {{.expression = "udp or tcp port 80", .to = host},
       {Instant{}, At(microseconds(2))}},
      {{.expression = "udp", .from = host}, {Instant{}}}};
  for (const auto& one : cases) {
    const absl::StatusOr<Capture> capture = Read("two_ways.pcap", one.filter);
    ASSERT_TRUE(capture.ok()) << capture.status();
    EXPECT_EQ(capture->arrivals, one.wanted) << one.filter.expression;
    EXPECT_EQ(capture->packets, 4U);
  }
}

TEST(CaptureTest, WhatIsWrongIsSaid) {
  const struct {
    const char* name;
    CaptureFilter filter;
    const char* said;
  } cases[] = {
      {"absent.pcap", {}, "cannot open it: No such file"},
      {"", {}, "cannot read it: Is a directory"},
      {"make_captures.py", {}, "it is not a pcap or pcapng capture"},
      {"usecs.pcap.gz", {}, "compressed: `zcat "},
      {"usecs.pcap.gz", {}, " | vduse-net simulate --pcap -`"},
      {"damaged.pcap", {}, "it is damaged after packet 1"},
      {"empty.pcap", {}, "it has no packets"},
      {"usecs.pcap", {.expression = "tcp"}, "none of its 3 packets"},
      {"usecs.pcap", {.expression = "udp prt 5"}, "filter 'udp prt 5': "},
      {"no_ethernet.pcap",
       {.to = "52:54:00:00:00:01"},
       "filter 'ether dst 52:54:00:00:00:01': "}};
  for (const auto& one : cases) {
    const absl::Status status = Read(one.name, one.filter).status();
    EXPECT_FALSE(status.ok()) << one.name;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(std::string("/captures/") + one.name + ": "));
    EXPECT_THAT(std::string(status.message()), HasSubstr(one.said));
  }
}

TEST(CaptureTest, AClockThatStepsBackIsANewStart) {
  const Capture capture = Read("clock_steps_back.pcap").value();
  ASSERT_EQ(capture.arrivals.size(), 200U);
  EXPECT_EQ(capture.arrivals[99], At(microseconds(990)));
  EXPECT_EQ(capture.arrivals[100], At(microseconds(990)));
  EXPECT_EQ(capture.arrivals[199], At(microseconds(1980)));
  EXPECT_THAT(capture.warnings,
              ElementsAre(HasSubstr("steps back 1 time(s), by up to 3599.")));
  Outcome outcome;
  Replay(capture.arrivals, {}, {}, outcome);
  EXPECT_EQ(outcome.notifications, 199U);
}

TEST(CaptureTest, OneTimeThatDoesNotFitMovesNoOtherPacket) {
  for (const char* name : {"one_late_time.pcap", "one_early_time.pcap"}) {
    const Capture capture = Read(name).value();
    ASSERT_EQ(capture.arrivals.size(), 200U);
    for (size_t i = 0; i < 200; ++i) {
      EXPECT_EQ(capture.arrivals[i],
                At(microseconds(10 * (i == 100 ? 99 : i))));
    }
    EXPECT_THAT(capture.warnings,
                ElementsAre(HasSubstr("1 packet(s) have a time that does not "
                                      "fit")));
  }
}

TEST(CaptureTest, PacketsOutOfOrderStayWhereTheyAre) {
  const Capture capture = Read("out_of_order.pcap").value();
  ASSERT_EQ(capture.arrivals.size(), 200U);
  EXPECT_EQ(capture.arrivals[199], At(microseconds(1980)));
  EXPECT_THAT(capture.warnings,
              ElementsAre(HasSubstr("100 packet(s) are up to 1 ms older")));
}

TEST(TimelineTest, APauseThatIsMostOfTheCaptureIsSaid) {
  std::vector<Instant> stamps;
  stamps.reserve(20);
  for (int i = 0; i < 20; ++i) {
    stamps.push_back(At(microseconds(i) + hours(i < 10 ? 0 : 1)));
  }
  const Timeline timeline = MakeTimeline(stamps);
  EXPECT_EQ(timeline.arrivals, stamps) << "it may have been one";
  EXPECT_THAT(timeline.Warnings(), ElementsAre(HasSubstr("are one pause")));
}

TEST(TimelineTest, AWrongTimeAtEitherEndMovesNoOtherPacket) {
  const Timeline first = MakeTimeline(
      {At(hours(1)), Instant{}, At(milliseconds(2)), At(milliseconds(4))});
  EXPECT_EQ(first.steps, 1U);
  EXPECT_EQ(first.arrivals, (Arrivals{Instant{}, Instant{}, At(milliseconds(2)),
                                      At(milliseconds(4))}));
  const Timeline last =
      MakeTimeline({Instant{}, At(milliseconds(2)), At(-hours(1))});
  EXPECT_EQ(last.steps, 1U);
  EXPECT_EQ(last.arrivals,
            (Arrivals{Instant{}, At(milliseconds(2)), At(milliseconds(2))}));
}

TEST(TimelineTest, TheFarthestTimesStayInOrder) {
  std::vector<Instant> stamps;
  stamps.reserve(12);
  for (int i = 0; i < 12; ++i) {
    stamps.push_back(i % 4 < 2 ? At(-kMaxStamp + seconds(i))
                               : At(kMaxStamp - seconds(20 - i)));
  }
  const Timeline timeline = MakeTimeline(stamps);
  Instant before{};
  for (const Instant at : timeline.arrivals) {
    EXPECT_GE(at, before);
    EXPECT_LE(at, At(kMaxStamp));
    before = at;
  }
  EXPECT_GT(timeline.steps, 0U);
}

}  // namespace
}  // namespace simulate
