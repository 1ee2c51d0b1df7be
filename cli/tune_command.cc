// SPDX-License-Identifier: Apache-2.0
#include "cli/tune_command.h"

#include <errno.h>
#include <fmt/format.h>
#include <signal.h>
#include <time.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>

#include "base/json_text.h"
#include "base/log.h"
#include "base/output.h"
#include "base/status_text.h"
#include "cli/command.h"
#include "cli/common_options.h"
#include "daemon/options.h"
#include "rpc/device_client.h"
#include "rpc/device_service.h"
#include "simulate/chart.h"
#include "simulate/setting.h"
#include "tune/report.h"
#include "tune/verdict.h"

namespace cli {
namespace {

using coalesce::Direction;
using coalesce::Params;
using nlohmann::json;
using std::chrono::milliseconds;

// The default settings.
constexpr const char* kTried[] = {"8/64",   "16/64",  "32/64",  "64/64",
                                  "128/64", "256/64", "1000/64"};
// After this time nothing is pending under the previous setting, and peers that
// adapt to the new setting have begun to adapt.
constexpr milliseconds kSettling(100);

// Parses the settings, preceded by coalescing off, with which all are compared.
absl::StatusOr<std::vector<tune::Measured>> ParseSettings(
    std::vector<std::string> texts) {
  if (texts.empty()) texts.assign(std::begin(kTried), std::end(kTried));
  std::vector<tune::Measured> all(1);
  for (const std::string& text : texts) {
    const absl::StatusOr<coalesce::Setting> setting =
        simulate::ParseSetting(text);
    if (!setting.ok()) return setting.status();
    if (setting->goal) {
      return absl::InvalidArgumentError(fmt::format(
          "setting '{}' must be fixed parameters, as USECS/FRAMES", text));
    }
    if (setting->params != Params()) {
      all.push_back({.params = setting->params, .windows = {}});
    }
  }
  return all;
}

// Blocks the signals that end a run early, until they are asked for.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set_, signal);
    sigprocmask(SIG_BLOCK, &set_, nullptr);
  }
  // Sleeps. An error if there was a signal.
  absl::Status Sleep(milliseconds length) const {
    const auto end = std::chrono::steady_clock::now() + length;
    while (true) {
      const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(
          end - std::chrono::steady_clock::now());
      if (left.count() <= 0) return absl::OkStatus();
      const timespec timeout = {
          .tv_sec = static_cast<time_t>(left.count() / 1'000'000'000),
          .tv_nsec = static_cast<long>(left.count() % 1'000'000'000)};
      if (sigtimedwait(&set_, nullptr, &timeout) >= 0) {
        return absl::CancelledError("interrupted");
      }
    }
  }

 private:
  sigset_t set_;
};

// Measures one direction of a device.
class Subject {
 public:
  Subject(const TuneOptions& options, Direction direction,
          const Signals& signals)
      : options_(options), direction_(direction), signals_(signals) {}

  // Fills in the windows. Afterwards the device has its former setting, or the
  // log says what that was.
  absl::Status Measure(std::vector<tune::Measured>& settings) {
    if (const absl::StatusOr<Reading> ready = Read(); !ready.ok()) {
      return ready.status();
    }
    const absl::StatusOr<json> before = Ask();
    if (!before.ok()) return before.status();
    const json& former = rpc::ObjectIn(*before, DirectionName(direction_));
    absl::Status status = Sweep(settings);
    const absl::Status restored = Set(former);
    if (!restored.ok()) {
      status.Update(restored);
      base::Log(
          base::Severity::kError,
          "{} still has a setting that was tried; its former setting was {}",
          options_.device, former.dump());
    }
    return status;
  }

 private:
  struct Reading {
    uint64_t at_ns = 0;  // by the device's clock
    uint64_t packets = 0;
    uint64_t notifications = 0;
    uint64_t waited_ns = 0;
  };

  absl::Status Sweep(std::vector<tune::Measured>& settings) {
    for (uint32_t round = 0; round < options_.rounds; ++round) {
      for (size_t i = 0; i < settings.size(); ++i) {
        // Vary which setting follows which.
        tune::Measured& one = settings[(i + round) % settings.size()];
        absl::StatusOr<tune::Window> window = Try(one.params);
        if (!window.ok()) return window.status();
        one.windows.push_back(*window);
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<tune::Window> Try(const Params& params) {
    absl::Status status = Set({{"usecs", params.max_usecs},
                               {"frames", params.max_packets},
                               {"adaptive", false}});
    status.Update(signals_.Sleep(kSettling));
    if (!status.ok()) return status;
    const absl::StatusOr<Reading> begin = Read();
    if (!begin.ok()) return begin.status();
    status = signals_.Sleep(milliseconds(options_.window_msecs));
    if (!status.ok()) return status;
    const absl::StatusOr<Reading> end = Read();
    if (!end.ok()) return end.status();
    if (end->packets < begin->packets || end->at_ns <= begin->at_ns) {
      return absl::FailedPreconditionError(
          options_.device + ": its process was restarted during a measurement");
    }
    return tune::Window{
        .seconds = static_cast<double>(end->at_ns - begin->at_ns) / 1e9,
        .packets = end->packets - begin->packets,
        .notifications = end->notifications - begin->notifications,
        .waited_ns = end->waited_ns - begin->waited_ns};
  }

  absl::StatusOr<json> Ask() const {
    return rpc::AskDevice(options_.state_dir, options_.device, "GetCoalescing",
                          json::object());
  }

  absl::Status Set(const json& setting) const {
    return rpc::AskDevice(options_.state_dir, options_.device, "SetCoalescing",
                          {{DirectionName(direction_), setting}})
        .status();
  }

  // Reads the sums over all queues of the direction.
  absl::StatusOr<Reading> Read() const {
    const absl::StatusOr<json> answer = Ask();
    if (!answer.ok()) return answer.status();
    Reading reading;
    bool runs = false;
    for (const json& queue : rpc::ArrayIn(*answer, "queues")) {
      if (rpc::TextIn(queue, "direction") != DirectionName(direction_)) {
        continue;
      }
      if (rpc::TextIn(queue, "source").starts_with("driver")) {
        return absl::FailedPreconditionError(fmt::format(
            "{}: the driver has set parameters of its own on {} queue "
            "{}, and keeps them until it resets the device: unbind and bind "
            "it, or restart the guest",
            options_.device, DirectionName(direction_),
            rpc::NumberIn(queue, "index")));
      }
      runs = runs || queue.contains("effective");
      reading.at_ns = rpc::NumberIn(queue, "read_nsecs");
      reading.packets += rpc::NumberIn(queue, "packets");
      reading.notifications += rpc::NumberIn(queue, "notifications");
      reading.waited_ns += rpc::NumberIn(queue, "waited_nsecs");
    }
    if (!runs) {
      return absl::FailedPreconditionError(
          fmt::format("{}: no driver runs its {} queues", options_.device,
                      DirectionName(direction_)));
    }
    return reading;
  }

  const TuneOptions& options_;
  const Direction direction_;
  const Signals& signals_;
};

// The consumer's netdev, if it is on this host; a guest has its own name for
// it.
std::string NetdevOf(const std::string& device) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (fs::directory_iterator it("/sys/bus/vdpa/devices/" + device, error), end;
       !error && it != end; it.increment(error)) {
    if (!it->path().filename().string().starts_with("virtio")) continue;
    std::error_code none;
    for (fs::directory_iterator net(it->path() / "net", none), last;
         !none && net != last; net.increment(none)) {
      return net->path().filename();
    }
  }
  return "DEVNAME";
}

void Print(const TuneOptions& options, const std::vector<tune::Side>& sides) {
  const std::string words = tune::Words(sides);
  std::string ethtool;
  std::string coalesce;
  if (!words.empty()) {
    ethtool = fmt::format("ethtool -C {} {}", NetdevOf(options.device), words);
    coalesce =
        fmt::format("vduse-net coalesce set dev {} {}", options.device, words);
  }
  if (options.json) {
    json all = {{"device", options.device}, {"directions", json::array()}};
    for (const tune::Side& side : sides) {
      all["directions"].push_back(tune::ToJson(side));
    }
    if (!words.empty()) {
      all["ethtool"] = ethtool;
      all["coalesce"] = coalesce;
    }
    base::Write(base::FormatJson(all));
    return;
  }
  for (const tune::Side& side : sides) base::Print("{}\n", tune::ToTable(side));
  if (!words.empty()) {
    base::Print(
        "where the driver runs:     {}\nor, on the device's host:  {}\n",
        ethtool, coalesce);
  }
}

}  // namespace

absl::Status TakeTuneWords(std::vector<std::string> words,
                           TuneOptions& options) {
  constexpr char kUsage[] =
      "vduse-net tune [dev] NAME [USECS/FRAMES...] [OPTION...]";
  const bool said_dev = !words.empty() && words.front() == "dev";
  if (said_dev && words.size() > 1) words.erase(words.begin());
  if (words.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("the device's name is missing: {}", kUsage));
  }
  if (!said_dev && simulate::ParseSetting(words.front()).ok()) {
    return absl::InvalidArgumentError(fmt::format(
        "the device's name is missing before '{}': {}", words.front(), kUsage));
  }
  options.device = words.front();
  options.settings.assign(words.begin() + 1, words.end());
  return absl::OkStatus();
}

absl::Status Tune(const TuneOptions& options) {
  const absl::StatusOr<std::vector<tune::Measured>> settings =
      ParseSettings(options.settings);
  if (!settings.ok()) return settings.status();
  std::vector<tune::Side> sides;
  for (const Direction direction : {Direction::kRx, Direction::kTx}) {
    if (options.direction.empty() ||
        options.direction == DirectionName(direction)) {
      sides.push_back({.direction = direction, .verdict = {}});
    }
  }
  // Ask the device before announcing anything.
  const absl::StatusOr<json> there = rpc::AskDevice(
      options.state_dir, options.device, "GetCoalescing", json::object());
  if (!there.ok()) return there.status();
  const auto length = sides.size() * settings->size() * options.rounds *
                      (milliseconds(options.window_msecs) + kSettling);
  base::Log(base::Severity::kInfo,
            "{} settings, {} times each, in {} direction(s): {} s",
            settings->size(), options.rounds, sides.size(),
            std::chrono::ceil<std::chrono::seconds>(length).count());
  const Signals signals;
  for (tune::Side& side : sides) {
    std::vector<tune::Measured> measured = *settings;
    absl::Status status =
        Subject(options, side.direction, signals).Measure(measured);
    if (!status.ok()) return status;
    side.verdict = tune::Compare(measured, options.max_wait_usecs);
  }
  Print(options, sides);
  if (!options.chart.empty()) {
    absl::Status status = simulate::WriteSvg(
        options.chart,
        tune::ToChart(sides, fmt::format("{}, medians of {} windows",
                                         options.device, options.rounds)));
    if (!status.ok()) return status;
  }
  if (tune::Words(sides).empty()) {
    return absl::FailedPreconditionError(options.device +
                                         ": no setting can be recommended");
  }
  return absl::OkStatus();
}

void AddTune(Command program) {
  const auto options = std::make_shared<TuneOptions>();
  const auto words = std::make_shared<std::vector<std::string>>();
  options->state_dir = program::kDefaultStateDir;
  Command tune = program.Add(
      "tune",
      "Try settings on a device under its current traffic and recommend one; "
      "restores the device's setting");
  tune.Values("words", *words,
              "[dev] NAME [USECS/FRAMES...] (default: a sweep)");
  tune.Value("--direction", options->direction,
             "rx or tx (default: both, one after the other)")
      .OneOf({"rx", "tx"});
  tune.Value("--rounds", options->rounds, "How often each setting is tried")
      .From(2, TuneOptions::kMaxRounds)
      .ShowsDefault();
  tune.Value("--window-msecs", options->window_msecs,
             "Length of each measurement")
      .From(10, TuneOptions::kMaxWindowMsecs)
      .ShowsDefault();
  tune.Value("--max-wait-usecs", options->max_wait_usecs,
             "Longest average wait of a packet that a recommended setting may "
             "cause")
      .From(0)
      .ShowsDefault();
  AddStateDir(tune, options->state_dir);
  AddJson(tune, options->json);
  tune.Value("--chart", options->chart, "Write a chart here, as SVG");
  tune.Does([=] {
    const absl::Status named = TakeTuneWords(*words, *options);
    if (!named.ok()) return base::Fail(base::kExitUsage, named);
    return ReportOrUsage(Tune(*options));
  });
}

}  // namespace cli
