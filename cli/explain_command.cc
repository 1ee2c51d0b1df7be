// SPDX-License-Identifier: Apache-2.0
//
// `vduse-net explain`.
#include "cli/explain_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "base/output.h"
#include "cli/command.h"
#include "cli/common_options.h"
#include "coalesce/coalescer.h"

namespace cli {
namespace {

using coalesce::Goal;
using nlohmann::json;

constexpr uint64_t kUsecsPerSecond = 1'000'000;
constexpr uint32_t kMostUsecs =
    std::chrono::microseconds(coalesce::Coalescer::kMaxDelay).count();

template <typename... Args>
void Say(Explanation& to, fmt::format_string<Args...> format, Args&&... args) {
  to.sentences.push_back(fmt::format(format, std::forward<Args>(args)...));
}

void ExplainOff(const rpc::SettingChange& change, Explanation& to) {
  const std::string& side = to.direction;
  const bool one_is_zero = (to.usecs == 0) != (to.frames == 0);
  if (to.usecs > 0 && to.frames == 1) {
    Say(to, "The device notifies after every packet: a batch is one packet.");
    return;
  }
  Say(to, "Coalescing is off: the device notifies after every packet.");
  if (one_is_zero) {
    Say(to,
        "A virtio-net device coalesces only if usecs and frames are both other "
        "than 0 (virtio 1.3, 5.1.6.5.9.1). Most network cards need only one of "
        "the two.");
    if (to.frames == 0) {
      Say(to, "Add {}-frames, for example 64.", side);
    } else {
      Say(to, "Add {}-usecs, for example 50.", side);
    }
  }
  if (side == "tx" && change.frames == 0U) {
    Say(to,
        "Linux's driver takes tx-frames 0 for 'no NAPI on tx', and refuses it "
        "while the interface is up: tx-usecs 0 tx-frames 1 turns coalescing "
        "off.");
  }
}

void ExplainFixed(Explanation& to) {
  to.max_wait_usecs = std::min(to.usecs, kMostUsecs);
  to.max_timer_rate =
      (kUsecsPerSecond + to.max_wait_usecs - 1) / to.max_wait_usecs;
  to.full_batch_rate =
      (to.frames * kUsecsPerSecond + to.max_wait_usecs - 1) / to.max_wait_usecs;
  Say(to,
      "The device notifies when {} packets wait, or {} microseconds after the "
      "first of them, whichever comes first.",
      to.frames, to.max_wait_usecs);
  if (to.usecs > kMostUsecs) {
    Say(to, "No packet waits longer than {} microseconds, whatever is set.",
        kMostUsecs);
  }
  Say(to,
      "It sends at most {} notifications a second while fewer than {} packets "
      "arrive a second, and one for every {} packets beyond that.",
      to.max_timer_rate, to.full_batch_rate, to.frames);
  Say(to,
      "No more packets wait than the virtqueue has room for: frames beyond "
      "that have no effect.");
  if (to.direction == "tx") {
    Say(to,
        "Packets are sent at once. What waits is the notification that the "
        "driver may free them. Until it does, TCP counts them as not sent.");
  } else {
    Say(to,
        "A request that waits for its answer, a packet each, may take {} "
        "microseconds longer.",
        to.max_wait_usecs);
  }
}

void ExplainAdaptive(const rpc::SettingChange& change, Explanation& to) {
  const Goal goal = change.goal.value_or(rpc::kDefaultGoal);
  Say(to,
      "Set with `vduse-net coalesce set`, the device decides for each batch "
      "whether to wait. {}-usecs and {}-frames have no effect.",
      to.direction, to.direction);
  if (goal.kind == Goal::Kind::kMaxRate) {
    Say(to, "Its goal is at most {} notifications a second.", goal.value);
  } else {
    Say(to,
        "Its goal is that no packet waits longer than {} microseconds for its "
        "notification.",
        goal.value);
  }
  if (to.direction == "rx") {
    Say(to,
        "Set with `ethtool -C`, Linux's driver measures its traffic (DIM) and "
        "gives each queue numbers of its own, which needs VQ_NOTF_COAL.");
  } else {
    Say(to, "Linux's driver has no adaptive-tx: `ethtool -C` refuses it.");
  }
}

Explanation ExplainSide(const char* direction,
                        const rpc::SettingChange& change) {
  Explanation to;
  to.direction = direction;
  to.usecs = change.usecs.value_or(0);
  to.frames = change.frames.value_or(0);
  to.adaptive = change.adaptive == true;
  to.coalesces = to.adaptive || (to.usecs > 0 && to.frames > 1);
  if (to.adaptive) {
    ExplainAdaptive(change, to);
  } else if (to.coalesces) {
    ExplainFixed(to);
  } else {
    ExplainOff(change, to);
  }
  return to;
}

json ToJson(const Explanation& from) {
  json result = {{"direction", from.direction},
                 {"adaptive", from.adaptive},
                 {"coalesces", from.coalesces},
                 {"sentences", from.sentences}};
  if (from.adaptive) return result;
  result["usecs"] = from.usecs;
  result["frames"] = from.frames;
  if (!from.coalesces) return result;
  result["max_wait_usecs"] = from.max_wait_usecs;
  result["max_timer_rate"] = from.max_timer_rate;
  result["full_batch_rate"] = from.full_batch_rate;
  return result;
}

base::ExitCode Print(const std::vector<std::string>& words, bool as_json) {
  CoalesceChange change;
  const absl::Status good = ParseSettings(words, change);
  if (!good.ok()) return ReportOrUsage(good);
  json all = json::array();
  for (const Explanation& side : ExplainSettings(change)) {
    all.push_back(ToJson(side));
    if (as_json) continue;
    base::Print("{}: ", side.direction);
    base::Print("{}\n", side.adaptive ? "adaptive"
                                      : fmt::format("usecs {} frames {}",
                                                    side.usecs, side.frames));
    for (const std::string& sentence : side.sentences) {
      base::Print("  {}\n", sentence);
    }
  }
  if (as_json) base::Write(base::FormatJson(all));
  return base::kExitOk;
}

}  // namespace

std::vector<Explanation> ExplainSettings(const CoalesceChange& change) {
  std::vector<Explanation> all;
  if (!change.rx.empty()) all.push_back(ExplainSide("rx", change.rx));
  if (!change.tx.empty()) all.push_back(ExplainSide("tx", change.tx));
  return all;
}

void AddExplain(Command program) {
  struct Options {
    std::vector<std::string> words;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  Command explain = program.Add(
      "explain",
      "Say what coalescing settings mean, in the words of `coalesce set`: "
      "[rx-usecs N] [rx-frames N] [tx-usecs N] [tx-frames N] ...");
  explain.Values("SETTING", options->words, "The settings, as above")
      .Required();
  AddJson(explain, options->json);
  explain.Does([=] { return Print(options->words, options->json); });
}

}  // namespace cli
