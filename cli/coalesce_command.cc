// SPDX-License-Identifier: Apache-2.0
#include "cli/coalesce_command.h"

#include <errno.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/json_text.h"
#include "base/log.h"
#include "base/output.h"
#include "base/parse_number.h"
#include "base/privileges.h"
#include "base/status_text.h"
#include "cli/command.h"
#include "cli/common_options.h"
#include "daemon/options.h"
#include "rpc/device_client.h"
#include "rpc/varlink_message.h"

namespace cli {
namespace {

using coalesce::Goal;
using nlohmann::json;

constexpr char kUsage[] =
    "vduse-net coalesce set [dev] NAME [rx-usecs N] [rx-frames N] [tx-usecs N] "
    "[tx-frames N] "
    "[adaptive-rx on|off] [adaptive-tx on|off] [target-latency-usecs N | "
    "max-irq-rate N]";

template <typename... Args>
absl::Status Invalid(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(
      fmt::format(format, std::forward<Args>(args)...));
}

absl::StatusOr<uint32_t> ParseNumber(std::string_view word,
                                     std::string_view value, uint32_t least,
                                     uint32_t most) {
  const auto number = base::ParseNumber<uint32_t>(value);
  if (!number || *number < least || *number > most) {
    return Invalid("{} {}: the value must be a number from {} to {}", word,
                   value, least, most);
  }
  return *number;
}

absl::StatusOr<bool> ParseSwitch(std::string_view word,
                                 std::string_view value) {
  if (value == "on") return true;
  if (value == "off") return false;
  return Invalid("{} {}: the value must be 'on' or 'off'", word, value);
}

// The change that a word belongs to, and the word without its direction.
struct Word {
  rpc::SettingChange* change = nullptr;  // null: both directions
  std::string_view what;
};

Word WordOf(std::string_view word, CoalesceChange& change) {
  if (word == "adaptive-rx") return {.change = &change.rx, .what = "adaptive"};
  if (word == "adaptive-tx") return {.change = &change.tx, .what = "adaptive"};
  for (const std::string_view what : {"usecs", "frames"}) {
    if (!word.ends_with(what) || word.size() != what.size() + 3) continue;
    if (word.starts_with("rx-")) return {.change = &change.rx, .what = what};
    if (word.starts_with("tx-")) return {.change = &change.tx, .what = what};
  }
  return {.change = nullptr, .what = word};
}

bool IsKnown(std::string_view name) {
  CoalesceChange none;
  return WordOf(name, none).change != nullptr ||
         name == "target-latency-usecs" || name == "max-irq-rate";
}

// Applies one word and its value.
absl::Status Take(const std::string& name, const std::string& value,
                  CoalesceChange& change, std::optional<Goal>& goal) {
  const Word word = WordOf(name, change);
  if (word.what == "adaptive") {
    const absl::StatusOr<bool> on = ParseSwitch(name, value);
    if (on.ok()) word.change->adaptive = *on;
    return on.status();
  }
  if (word.change != nullptr) {
    const absl::StatusOr<uint32_t> number =
        ParseNumber(name, value, 0, UINT32_MAX);
    if (number.ok()) {
      (word.what == "usecs" ? word.change->usecs : word.change->frames) =
          *number;
    }
    return number.status();
  }
  if (word.what != "target-latency-usecs" && word.what != "max-irq-rate") {
    return Invalid("unknown word '{}': {}", name, kUsage);
  }
  if (goal) return Invalid("'{}' is a second goal: give one goal", name);
  const absl::StatusOr<uint32_t> number =
      ParseNumber(name, value, 1, Goal::kMaxValue);
  if (number.ok()) {
    goal =
        Goal{.kind = word.what == "max-irq-rate" ? Goal::Kind::kMaxRate
                                                 : Goal::Kind::kTargetLatency,
             .value = *number};
  }
  return number.status();
}

void AddSetting(const json& setting, const char* direction, std::string& text) {
  const auto adaptive = setting.find("adaptive");
  const bool on = adaptive != setting.end() && *adaptive == true;
  text += fmt::format(" {0}-usecs {1} {0}-frames {2} adaptive-{0} {3}",
                      direction, rpc::NumberIn(setting, "usecs"),
                      rpc::NumberIn(setting, "frames"), on ? "on" : "off");
  if (const uint64_t usecs = rpc::NumberIn(setting, "target_latency_usecs")) {
    text += fmt::format(" target-latency-usecs {}", usecs);
  }
  if (const uint64_t rate = rpc::NumberIn(setting, "max_irq_rate")) {
    text += fmt::format(" max-irq-rate {}", rate);
  }
}

// "usecs 100 frames 64".
std::string Params(const json& params) {
  return fmt::format("usecs {} frames {}", rpc::NumberIn(params, "usecs"),
                     rpc::NumberIn(params, "frames"));
}

// The numbers of an object that are not 0.
std::string NonZero(const json& object) {
  std::string text;
  for (const auto& [name, value] : object.items()) {
    const uint64_t number = rpc::WholeNumber(value).value_or(0);
    if (number > 0) text += fmt::format(" {} {}", name, number);
  }
  return text;
}

void AddHistogram(const json& queue, const char* name, std::string& text) {
  const json& histogram = rpc::ObjectIn(queue, name);
  if (rpc::NumberIn(histogram, "count") == 0) return;
  text += fmt::format(
      "    {}: p50 {} p90 {} p99 {} max {}\n", name,
      rpc::NumberIn(histogram, "p50"), rpc::NumberIn(histogram, "p90"),
      rpc::NumberIn(histogram, "p99"), rpc::NumberIn(histogram, "max"));
}

void AddQueue(const json& queue, std::string& text) {
  const bool runs = queue.contains("effective");
  text += fmt::format(
      "  {} queue {}: {} set by {}, {}\n", rpc::TextIn(queue, "direction"),
      rpc::NumberIn(queue, "index"), Params(rpc::ObjectIn(queue, "requested")),
      rpc::TextIn(queue, "source"),
      runs ? "in effect " + Params(rpc::ObjectIn(queue, "effective"))
           : "not running");
  text += fmt::format("    packets {} notifications {} (suppressed {})\n",
                      rpc::NumberIn(queue, "packets"),
                      rpc::NumberIn(queue, "notifications"),
                      rpc::NumberIn(queue, "suppressed"));
  const std::string causes = NonZero(rpc::ObjectIn(queue, "causes"));
  if (!causes.empty()) text += fmt::format("    causes:{}\n", causes);
  const std::string decisions = NonZero(rpc::ObjectIn(queue, "decisions"));
  if (!decisions.empty()) text += fmt::format("    decisions:{}\n", decisions);
  for (const char* name :
       {"packets_per_notification", "delay_nsecs", "timer_lateness_nsecs"}) {
    AddHistogram(queue, name, text);
  }
}

// The sorted names of the devices that have a socket in a directory. A
// directory that does not exist has none.
absl::StatusOr<std::vector<std::string>> DevicesIn(
    const std::string& state_dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(state_dir, error), end;
       !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".sock") names.push_back(it->path().stem());
  }
  if (error && error.value() != ENOENT) {
    return base::ExplainPermission(
        absl::ErrnoToStatus(error.value(), "cannot read " + state_dir));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

absl::Status ParseSettings(const std::vector<std::string>& words,
                           CoalesceChange& change) {
  std::optional<Goal> goal;
  for (size_t at = 0; at < words.size(); at += 2) {
    if (at + 1 == words.size()) return Invalid("'{}' has no value", words[at]);
    absl::Status status = Take(words[at], words[at + 1], change, goal);
    if (!status.ok()) return status;
  }
  if (!goal) return absl::OkStatus();
  bool used = false;
  for (rpc::SettingChange* side : {&change.rx, &change.tx}) {
    if (side->adaptive != true) continue;
    side->goal = goal;
    used = true;
  }
  if (used) return absl::OkStatus();
  return Invalid(
      "a goal needs adaptive coalescing: add adaptive-rx on, adaptive-tx on, "
      "or both");
}

absl::StatusOr<CoalesceChange> ParseCoalesceChange(
    const std::vector<std::string>& words) {
  CoalesceChange change;
  auto at = words.begin();
  const bool said_dev = at != words.end() && *at == "dev";
  if (said_dev) ++at;
  if (at == words.end()) {
    return Invalid("the device's name is missing: {}", kUsage);
  }
  if (!said_dev && IsKnown(*at)) {
    return Invalid("the device's name is missing before '{}': {}", *at, kUsage);
  }
  change.device = *at++;
  if (at == words.end()) {
    return Invalid("nothing to set for '{}': {}", change.device, kUsage);
  }
  absl::Status status = ParseSettings({at, words.end()}, change);
  if (!status.ok()) return status;
  return change;
}

std::string FormatCoalescing(const json& answer) {
  std::string text = rpc::TextIn(answer, "device") + ":";
  AddSetting(rpc::ObjectIn(answer, "rx"), "rx", text);
  AddSetting(rpc::ObjectIn(answer, "tx"), "tx", text);
  text += '\n';
  for (const json& queue : rpc::ArrayIn(answer, "queues")) {
    if (queue.is_object()) AddQueue(queue, text);
  }
  return text;
}

absl::Status ShowCoalescing(const std::string& state_dir,
                            const std::string& name, OutputFormat format) {
  json all = json::array();
  std::string text;
  absl::Status status;
  std::vector<std::string> devices = {name};
  if (name.empty()) {
    absl::StatusOr<std::vector<std::string>> found = DevicesIn(state_dir);
    if (!found.ok()) return found.status();
    devices = std::move(*found);
  }
  for (const std::string& device : devices) {
    absl::StatusOr<json> answer =
        rpc::AskDevice(state_dir, device, "GetCoalescing", json::object());
    if (!answer.ok()) {
      if (!name.empty()) return answer.status();
      // The socket of a killed process is not a device.
      if (absl::IsNotFound(answer.status())) continue;
      // Show the other devices all the same.
      status.Update(absl::Status(
          answer.status().code(),
          fmt::format("{}: {}", device, base::Text(answer.status()))));
      continue;
    }
    text += FormatCoalescing(*answer);
    all.push_back(std::move(*answer));
  }
  base::Write(format == OutputFormat::kJson ? base::FormatJson(all) : text);
  return status;
}

std::vector<std::string> WithoutEffect(const CoalesceChange& change,
                                       const json& now) {
  std::vector<std::string> warnings;
  const struct {
    const char* name;
    const rpc::SettingChange& change;
  } sides[] = {{"rx", change.rx}, {"tx", change.tx}};
  for (const auto& [name, wanted] : sides) {
    if (!wanted.usecs && !wanted.frames) continue;
    const json& setting = rpc::ObjectIn(now, name);
    const auto adaptive = setting.find("adaptive");
    const uint64_t usecs = rpc::NumberIn(setting, "usecs");
    const uint64_t frames = rpc::NumberIn(setting, "frames");
    if (adaptive != setting.end() && *adaptive == true) {
      warnings.push_back(fmt::format(
          "{0}-usecs and {0}-frames have no effect until adaptive-{0} is off",
          name));
    } else if ((usecs == 0) != (frames == 0)) {
      warnings.push_back(fmt::format(
          "{0}-usecs {1} {0}-frames {2} has no effect: coalescing takes both "
          "numbers",
          name, usecs, frames));
    }
  }
  return warnings;
}

absl::Status ChangeCoalescing(const std::string& state_dir,
                              const CoalesceChange& change) {
  json parameters = json::object();
  if (!change.rx.empty()) parameters["rx"] = rpc::ToJson(change.rx);
  if (!change.tx.empty()) parameters["tx"] = rpc::ToJson(change.tx);
  const absl::StatusOr<json> answer =
      rpc::AskDevice(state_dir, change.device, "SetCoalescing", parameters);
  if (!answer.ok()) return answer.status();
  const auto kept = answer->find("kept_by_driver");
  if (kept != answer->end() && !kept->empty()) {
    base::Log(base::Severity::kWarning,
              "the setting is stored, but not in force on queues {}: the "
              "driver has set parameters of its own there",
              kept->dump());
  }
  const absl::StatusOr<json> now =
      rpc::AskDevice(state_dir, change.device, "GetCoalescing", json::object());
  if (!now.ok()) return absl::OkStatus();  // the setting was made
  for (const std::string& warning : WithoutEffect(change, *now)) {
    base::Log(base::Severity::kWarning, "{}", warning);
  }
  return absl::OkStatus();
}

void AddCoalesce(Command program) {
  struct Options {
    std::string state_dir = program::kDefaultStateDir;
    std::vector<std::string> words;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  Command coalesce =
      program.Add("coalesce", "Show or set the coalescing of a device");
  AddStateDir(coalesce, options->state_dir);
  Command show = coalesce.Add(
      "show",
      "Show settings, who made them, and notifications so far: [dev] [NAME]");
  show.Values("DEVICE", options->words, "[dev] NAME (default: all)");
  AddJson(show, options->json);
  AddStateDir(show, options->state_dir);
  show.Does([=] {
    std::vector<std::string>& words = options->words;
    if (!words.empty() && words.front() == "dev") words.erase(words.begin());
    if (words.size() > 1) {
      return ReportOrUsage(
          Invalid("coalesce show: more than one name is given"));
    }
    return Report(ShowCoalescing(
        options->state_dir, words.empty() ? "" : words.front(),
        options->json ? OutputFormat::kJson : OutputFormat::kText));
  });
  Command set = coalesce.Add(
      "set",
      "Set the operator's coalescing, which applies until the driver sets its "
      "own, and after a reset: [dev] NAME "
      "[rx-usecs N] [rx-frames N] [tx-usecs N] [tx-frames N] [adaptive-rx "
      "on|off] [adaptive-tx on|off] [target-latency-usecs N | max-irq-rate N]");
  set.Values("SETTING", options->words,
             "The device and its settings, as in the first line");
  AddStateDir(set, options->state_dir);
  set.Does([=] {
    const absl::StatusOr<CoalesceChange> change =
        ParseCoalesceChange(options->words);
    if (!change.ok()) return base::Fail(base::kExitUsage, change.status());
    return Report(ChangeCoalescing(options->state_dir, *change));
  });
}

}  // namespace cli
