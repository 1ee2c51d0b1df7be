// SPDX-License-Identifier: Apache-2.0
#include "cli/coalesce_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/cli/words.h"
#include "tests/support/temp_dir.h"

namespace cli {
namespace {

using coalesce::Goal;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

absl::StatusOr<CoalesceChange> Parse(const std::string& line) {
  return ParseCoalesceChange(WordsOf(line));
}

TEST(CoalesceCommandTest, EthtoolsWordsAreUnderstood) {
  const CoalesceChange change =
      Parse("dev vn0 rx-usecs 100 rx-frames 64 tx-usecs 0 tx-frames 4294967295")
          .value();
  EXPECT_EQ(change.device, "vn0");
  EXPECT_EQ(change.rx.usecs, 100U);
  EXPECT_EQ(change.rx.frames, 64U);
  EXPECT_EQ(change.tx.usecs, 0U);
  EXPECT_EQ(change.tx.frames, UINT32_MAX);
  EXPECT_FALSE(change.rx.adaptive);
  EXPECT_FALSE(change.rx.goal);
}

TEST(CoalesceCommandTest, DevMayBeLeftOut) {
  EXPECT_EQ(Parse("vn0 rx-usecs 1").value().device, "vn0");
  EXPECT_EQ(Parse("dev dev rx-usecs 1").value().device, "dev");
}

TEST(CoalesceCommandTest, AGoalIsForWhatTheWordsMakeAdaptive) {
  CoalesceChange change =
      Parse("vn0 target-latency-usecs 50 adaptive-rx on adaptive-tx off")
          .value();
  EXPECT_EQ(change.rx.goal,
            (Goal{.kind = Goal::Kind::kTargetLatency, .value = 50}));
  EXPECT_FALSE(change.tx.goal);
  EXPECT_EQ(change.tx.adaptive, false);
  change = Parse("vn0 adaptive-rx on adaptive-tx on max-irq-rate 8000").value();
  EXPECT_EQ(change.tx.goal,
            (Goal{.kind = Goal::Kind::kMaxRate, .value = 8000}));
  EXPECT_EQ(change.rx.goal, change.tx.goal);
}

TEST(CoalesceCommandTest, WhatIsWrongIsNamed) {
  const struct {
    const char* line;
    const char* named;
  } cases[] = {
      {"", "the device's name is missing: vduse-net coalesce set [dev] NAME"},
      {"dev", "the device's name is missing"},
      {"rx-usecs 100", "the device's name is missing before 'rx-usecs'"},
      {"adaptive-tx on", "missing before 'adaptive-tx'"},
      {"max-irq-rate 5", "missing before 'max-irq-rate'"},
      {"vn0", "nothing to set for 'vn0'"},
      {"vn0 rx-usecs", "'rx-usecs' has no value"},
      {"vn0 rx-usecs ten", "rx-usecs ten"},
      {"vn0 rx-usecs -1", "rx-usecs -1"},
      {"vn0 rx-usecs 1x", "rx-usecs 1x"},
      {"vn0 tx-frames 4294967296", "from 0 to 4294967295"},
      {"vn0 adaptive-rx yes", "'on' or 'off'"},
      {"vn0 rx-adaptive on", "unknown word 'rx-adaptive'"},
      {"vn0 rx-pkts 5", "unknown word 'rx-pkts'"},
      {"vn0 adaptive-rx on max-irq-rate 0", "from 1 to 1000000"},
      {"vn0 adaptive-rx on max-irq-rate 5 target-latency-usecs 5",
       "'target-latency-usecs' is a second goal"},
      {"vn0 max-irq-rate 5", "a goal needs adaptive coalescing"},
      {"vn0 adaptive-rx off max-irq-rate 5", "a goal needs adaptive"},
  };
  for (const auto& one : cases) {
    const absl::Status status = Parse(one.line).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << one.line;
    EXPECT_NE(status.message().find(one.named), std::string::npos)
        << one.line << ": " << status.message();
  }
}

TEST(CoalesceCommandTest, WhatHasNoEffectIsNamed) {
  struct Rx {
    uint32_t usecs;
    uint32_t frames;
    bool adaptive = false;
  };
  const auto after = [](const std::string& line, const Rx& rx) {
    const json now = {{"rx",
                       {{"usecs", rx.usecs},
                        {"frames", rx.frames},
                        {"adaptive", rx.adaptive}}}};
    return WithoutEffect(Parse(line).value(), now);
  };
  EXPECT_THAT(after("vn0 rx-usecs 100", {.usecs = 100, .frames = 0}),
              ElementsAre("rx-usecs 100 rx-frames 0 has no effect: coalescing "
                          "takes both numbers"));
  EXPECT_THAT(after("vn0 rx-frames 8 rx-usecs 0", {.usecs = 0, .frames = 8}),
              ElementsAre(HasSubstr("rx-usecs 0 rx-frames 8 has no effect")));
  EXPECT_THAT(
      after("vn0 rx-usecs 100", {.usecs = 100, .frames = 64, .adaptive = true}),
      ElementsAre("rx-usecs and rx-frames have no effect until "
                  "adaptive-rx is off"));
  EXPECT_THAT(after("vn0 rx-usecs 100", {.usecs = 100, .frames = 64}),
              IsEmpty());
  EXPECT_THAT(after("vn0 rx-usecs 0", {.usecs = 0, .frames = 0}), IsEmpty());
  EXPECT_THAT(after("vn0 adaptive-rx on",
                    {.usecs = 100, .frames = 0, .adaptive = true}),
              IsEmpty());
}

TEST(CoalesceCommandTest, WhatIsShownNamesTheSource) {
  const json answer = {
      {"device", "vn0"},
      {"rx",
       {{"usecs", 0},
        {"frames", 0},
        {"adaptive", true},
        {"target_latency_usecs", 50}}},
      {"tx", {{"usecs", 5}, {"frames", 6}, {"adaptive", false}}},
      {"queues",
       {{{"index", 0},
         {"direction", "rx"},
         {"source", "driver_all"},
         {"requested", {{"usecs", 9}, {"frames", 999}}},
         {"effective", {{"usecs", 9}, {"frames", 256}}},
         {"packets", 12},
         {"notifications", 3},
         {"suppressed", 1},
         {"causes", {{"time", 4}, {"stop", 0}}},
         {"delay_nsecs",
          {{"count", 3}, {"p50", 1}, {"p90", 2}, {"p99", 3}, {"max", 4}}}}}}};
  EXPECT_EQ(FormatCoalescing(answer),
            "vn0: rx-usecs 0 rx-frames 0 adaptive-rx on target-latency-usecs "
            "50 tx-usecs 5 tx-frames 6 adaptive-tx off\n"
            "  rx queue 0: usecs 9 frames 999 set by driver_all, in effect "
            "usecs 9 frames 256\n"
            "    packets 12 notifications 3 (suppressed 1)\n"
            "    causes: time 4\n"
            "    delay_nsecs: p50 1 p90 2 p99 3 max 4\n");
}

TEST(CoalesceCommandTest, AnAnswerOfAnotherReleaseIsSurvived) {
  for (const json& answer :
       {json::object(), json::array(), json{{"queues", 5}},
        json{{"queues", {1, json::object()}}, {"rx", "x"}, {"device", 1}}}) {
    EXPECT_FALSE(FormatCoalescing(answer).empty()) << answer;
  }
}

TEST(CoalesceCommandTest, WithoutAProcessTheDeviceIsNamed) {
  const tests::TempDir temp;
  const absl::Status status =
      ShowCoalescing(temp.path(), "vn7", OutputFormat::kJson);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find("'vn7'"), std::string::npos);
  EXPECT_TRUE(ShowCoalescing(temp.path(), "", OutputFormat::kJson).ok())
      << "there is none";
}

}  // namespace
}  // namespace cli
