// SPDX-License-Identifier: Apache-2.0
//
// The command line of vduse-net.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/status_text.h"
#include "daemon/check.h"
#include "daemon/coalesce_command.h"
#include "daemon/exit_codes.h"
#include "daemon/migration_state.h"
#include "daemon/options.h"
#include "daemon/run.h"
#include "daemon/simulate_command.h"
#include "daemon/tune_command.h"
#include "net/features.h"
#include "vduse/vdpa_bus.h"

namespace program {
namespace {

void AddRun(CLI::App& app, RunOptions& options, std::string& mac,
            bool& verbose) {
  CLI::App* run = app.add_subcommand(
      "run", "Create (or adopt) a device and serve it until SIGTERM");
  run->add_option("--name", options.name, "Name of the device")->required();
  run->add_option("--tap", options.tap, "TAP interface, created if absent")
      ->required();
  run->add_option("--mac", mac, "MAC address (default: random)");
  run->add_option("--mtu", options.mtu,
                  "MTU the driver sees, and of the TAP (default: 1500 and as "
                  "it is)")
      ->check(CLI::Range(net::kMinMtu, net::kMaxMtu));
  run->add_option("--queue-size", options.queue_size,
                  "Largest queue size, a power of 2 (default: 256)")
      ->check([](const std::string& text) -> std::string {
        unsigned value = 0;
        if (CLI::detail::lexical_cast(text, value) && IsQueueSize(value)) {
          return "";
        }
        return "queue size " + text + " is not a power of 2 from 2 to 32768";
      });
  run->add_option("--speed", options.speed,
                  "Speed the driver sees, in Mbit/s (default: unknown)")
      ->check(CLI::Range(uint32_t{0}, net::kMaxSpeed));
  run->add_option("--profile", options.profile,
                  "Offer just the features of an older release (see "
                  "`vduse-net profiles`; default: all that the kernel allows)")
      ->check([](const std::string& text) -> std::string {
        if (net::FindProfile(text) != nullptr) return "";
        return "no profile '" + text + "': see `vduse-net profiles`";
      });
  run->add_option_function<std::string>(
         "--without",
         [&options](const std::string& names) {
           options.without = net::ParseFeatureNames(names).value_or(0);
         },
         "Features not to offer, like GUEST_TSO4,GUEST_TSO6, and what depends "
         "on them")
      ->excludes("--profile")
      ->check([](const std::string& names) -> std::string {
        const auto features = net::ParseFeatureNames(names);
        if (!features.ok()) return base::Text(features.status());
        if (net::Optional(*features)) return "";
        return "no driver does without " + names;
      });
  run->add_option("--restore", options.restore,
                  "Go on with what `vduse-net state save` wrote");
  run->add_flag("--attach", options.attach,
                "Attach to the vDPA bus, like `vdpa dev add`");
  run->add_option("--queue-pairs", options.queue_pairs,
                  "Queue pairs that a driver may use, each with a thread and a "
                  "queue of the TAP (default: 1)")
      ->check(CLI::Range(1U, net::kMaxQueuePairs));
  run->add_option_function<std::string>(
         "--cpus",
         [&options](const std::string& list) {
           options.cpus = ParseCpus(list).value_or(std::vector<int>());
         },
         "CPUs for the queue pairs' threads, in turn, like 2,4-6 (default: "
         "any)")
      ->check([](const std::string& list) -> std::string {
        const auto cpus = ParseCpus(list);
        return cpus.ok() ? "" : base::Text(cpus.status());
      });
  run->add_option("--engine", options.engine,
                  "How packets get into and out of the TAP: io_uring, "
                  "syscalls, or auto, which is io_uring if it can be had "
                  "(default: auto)")
      ->transform(CLI::CheckedTransformer(std::map<std::string, net::Engine>{
          {"auto", net::Engine::kAuto},
          {"io_uring", net::Engine::kUring},
          {"syscalls", net::Engine::kSyscalls}}));
  run->add_option("--busy-poll-usecs", options.busy_poll_usecs,
                  "Look for packets for up to so long before sleeping, while "
                  "that pays (default: 0)")
      ->check(CLI::Range(0U, kMaxBusyPollUsecs));
  run->add_option("--timer-poll-usecs", options.timer_poll_usecs,
                  "Do not sleep for the last so long before a notification is "
                  "due (default: 0)")
      ->check(CLI::Range(0U, kMaxTimerPollUsecs));
  const std::string until = " until the driver sets it, and after a reset";
  run->add_option("--rx-usecs", options.rx.params.max_usecs,
                  "Delay of rx notifications in microseconds" + until);
  run->add_option("--rx-frames", options.rx.params.max_packets,
                  "Packets per rx notification" + until);
  run->add_option("--tx-usecs", options.tx.params.max_usecs,
                  "Delay of tx notifications in microseconds" + until);
  run->add_option("--tx-frames", options.tx.params.max_packets,
                  "Packets per tx notification" + until);
  const auto adaptive = [&options](coalesce::Goal::Kind kind) {
    return [&options, kind](uint32_t value) {
      options.rx.goal = options.tx.goal = {.kind = kind, .value = value};
    };
  };
  CLI::Option* latency =
      run->add_option_function<uint32_t>(
             "--target-latency-usecs",
             adaptive(coalesce::Goal::Kind::kTargetLatency),
             "Coalesce adaptively: under load, notifications wait so long" +
                 until)
          ->check(CLI::Range(1U, coalesce::Goal::kMaxValue));
  run->add_option_function<uint32_t>(
         "--max-irq-rate", adaptive(coalesce::Goal::Kind::kMaxRate),
         "Coalesce adaptively: at most so many notifications a second, of a "
         "queue" +
             until)
      ->check(CLI::Range(1U, coalesce::Goal::kMaxValue))
      ->excludes(latency);
  run->add_option("--state-dir", options.state_dir,
                  "Where to keep what a restarted process needs")
      ->capture_default_str();
  run->add_flag("--verbose", verbose, "Log more");
}

void AddSimulate(CLI::App& app, SimulateOptions& options) {
  CLI::App* simulate = app.add_subcommand(
      "simulate",
      "What coalescing would do to packets: notifications against added "
      "latency, without a device");
  CLI::Option* pcap = simulate->add_option(
      "--pcap", options.pcap, "Packets that come as in this capture");
  simulate
      ->add_option("--arrivals", options.arrivals,
                   "Packets that come as steady:RATE, poisson:RATE or "
                   "bursts:RATE,SIZE, in packets per second")
      ->excludes(pcap);
  simulate
      ->add_option("--packets", options.packets, "How many, with --arrivals")
      ->capture_default_str();
  simulate->add_option("--seed", options.seed, "Of poisson's chance")
      ->capture_default_str();
  simulate->add_option(
      "settings", options.settings,
      "off, USECS/FRAMES, latency:USECS or rate:PER_SECOND (default: a sweep)");
  simulate
      ->add_option("--queue-size", options.queue_size,
                   "More packets than this never wait")
      ->check(CLI::Range(1U, 32768U))
      ->capture_default_str();
  simulate
      ->add_option("--timer-lateness-usecs", options.timer_lateness_usecs,
                   "How late every timer is")
      ->check(CLI::Range(0U, 1'000'000U))
      ->capture_default_str();
  simulate
      ->add_option("--poll-nsecs", options.poll_nsecs,
                   "Per packet, the driver polls for so long and wants no "
                   "notification")
      ->check(CLI::Range(0U, 1'000'000'000U))
      ->capture_default_str();
  simulate->add_flag("-j,--json", options.json, "As JSON");
  simulate->add_option("--chart", options.chart, "Write a chart here, as SVG");
}

void AddTune(CLI::App& app, TuneOptions& options,
             std::vector<std::string>& words) {
  CLI::App* tune = app.add_subcommand(
      "tune",
      "Try settings on a device under the traffic that it has, and recommend "
      "one; it is then as it was before");
  tune->add_option("words", words,
                   "[dev] NAME [USECS/FRAMES...] (default: a sweep)")
      ->required();
  tune->add_option("--direction", options.direction,
                   "rx or tx (default: both, one after the other)")
      ->check(CLI::IsMember({"rx", "tx"}));
  tune->add_option("--rounds", options.rounds, "How often each is tried")
      ->check(CLI::Range(2U, TuneOptions::kMaxRounds))
      ->capture_default_str();
  tune->add_option("--window-msecs", options.window_msecs,
                   "How long it is looked at each time")
      ->check(CLI::Range(10U, TuneOptions::kMaxWindowMsecs))
      ->capture_default_str();
  tune->add_option("--max-wait-usecs", options.max_wait_usecs,
                   "The longest that packets may wait, on average, with what "
                   "is recommended")
      ->capture_default_str();
  tune->add_option("--state-dir", options.state_dir,
                   "As the device's process was started with")
      ->capture_default_str();
  tune->add_flag("-j,--json", options.json, "As JSON");
  tune->add_option("--chart", options.chart, "Write a chart here, as SVG");
}

// A command whose options may make no sense together.
ExitCode ReportCommand(const absl::Status& status) {
  if (status.ok()) return kExitOk;
  return Fail(absl::IsInvalidArgument(status) ? kExitUsage : kExitFailure,
              status);
}

ExitCode Report(const absl::Status& status) {
  return status.ok() ? kExitOk : Fail(kExitFailure, status);
}

ExitCode Show(const std::optional<std::string>& name) {
  const auto devices = vduse::ListBus(name);
  if (!devices.ok()) return Report(devices.status());
  for (const vduse::BusDevice& device : *devices) {
    fmt::print("{}: type {} max_vqs {} max_vq_size {} driver {}\n", device.name,
               device.device_id, device.max_queues, device.max_queue_size,
               device.driver.empty() ? "-" : device.driver);
  }
  return kExitOk;
}

ExitCode ListProfiles() {
  for (const net::Profile& profile : net::Profiles()) {
    fmt::print("{:<12}{}\n{:<12}{}\n", profile.name, profile.text, "",
               net::FeatureNames(profile.features));
  }
  return kExitOk;
}

ExitCode SaveState(const std::string& dir, const std::string& name,
                   const std::string& file) {
  const absl::StatusOr<std::string> text = AskForState(dir, name);
  if (!text.ok()) return Report(text.status());
  return Report(WriteFile(file, *text));
}

int Main(int argc, char** argv) {
  CLI::App app(
      "A virtio-net device for the kernel's vDPA bus, in userspace, over a "
      "TAP, with notification coalescing");
  app.require_subcommand(1);
  app.set_version_flag("--version", VDUSE_NET_VERSION);

  RunOptions options;
  std::string mac;
  bool verbose = false;
  AddRun(app, options, mac, verbose);
  SimulateOptions simulate;
  AddSimulate(app, simulate);
  std::vector<std::string> words;
  TuneOptions tune;
  tune.state_dir = options.state_dir;
  AddTune(app, tune, words);
  app.add_subcommand("check", "Tell what this host can do");
  std::string name;
  CLI::App* attach = app.add_subcommand(
      "attach", "Attach a device that is being served, like `vdpa dev add`");
  attach->add_option("name", name)->required();
  CLI::App* detach = app.add_subcommand(
      "detach", "Take a device off the bus, like `vdpa dev del`");
  detach->add_option("name", name)->required();
  CLI::App* show = app.add_subcommand("show", "List the devices on the bus");
  show->add_option("name", name);
  app.add_subcommand("profiles", "List the sets of features under a name");
  CLI::App* state = app.add_subcommand(
      "state", "What a driver has made of a device, for moving it");
  state->require_subcommand(1);
  CLI::App* save = state->add_subcommand(
      "save", "Write the state of a suspended or stopped device to a file");
  std::string file;
  save->add_option("file", file, "To be given to `run --restore`")->required();
  save->add_option("--name", options.name, "Name of the device")->required();
  save->add_option("--state-dir", options.state_dir,
                   "As the device's process was started with")
      ->capture_default_str();

  CLI::App* coalesce = app.add_subcommand(
      "coalesce", "Show or set the coalescing of a device that is served");
  coalesce->require_subcommand(1);
  coalesce
      ->add_option("--state-dir", options.state_dir,
                   "As the device's process was started with")
      ->capture_default_str();
  bool as_json = false;
  CLI::App* coalesce_show = coalesce->add_subcommand(
      "show", "Who has set what, and what came of it: [dev] [NAME]");
  coalesce_show->add_flag("-j,--json", as_json, "As JSON");
  coalesce_show->add_option("words", words, "[dev] NAME");
  CLI::App* coalesce_set = coalesce->add_subcommand(
      "set",
      "What applies until the driver sets it, and after a reset: [dev] NAME "
      "[rx-usecs N] [rx-frames N] [tx-usecs N] [tx-frames N] [adaptive-rx "
      "on|off] [adaptive-tx on|off] [target-latency-usecs N | max-irq-rate N]");
  coalesce_set->add_option("words", words, "As above")->required();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (app.got_subcommand("check")) return Check();
  if (app.got_subcommand("simulate")) {
    return ReportCommand(Simulate(simulate));
  }
  if (app.got_subcommand("tune")) {
    if (words.size() > 1 && words.front() == "dev") words.erase(words.begin());
    tune.device = words.front();
    tune.settings.assign(words.begin() + 1, words.end());
    return ReportCommand(Tune(tune));
  }
  if (app.got_subcommand("attach")) return Report(vduse::AttachToBus(name));
  if (app.got_subcommand("detach")) return Report(vduse::DetachFromBus(name));
  if (app.got_subcommand("show")) {
    return Show(name.empty() ? std::nullopt : std::optional(name));
  }
  if (app.got_subcommand("profiles")) return ListProfiles();
  if (app.got_subcommand("state")) {
    return SaveState(options.state_dir, options.name, file);
  }
  if (coalesce_show->parsed()) {
    if (!words.empty() && words.front() == "dev") words.erase(words.begin());
    if (words.size() > 1) {
      return Fail(kExitUsage, absl::InvalidArgumentError(
                                  "coalesce show: one device, or none"));
    }
    return Report(ShowCoalescing(options.state_dir,
                                 words.empty() ? "" : words.front(), as_json));
  }
  if (coalesce_set->parsed()) {
    const absl::StatusOr<CoalesceChange> change = ParseCoalesceChange(words);
    if (!change.ok()) return Fail(kExitUsage, change.status());
    return Report(ChangeCoalescing(options.state_dir, *change));
  }
  if (verbose) base::SetMinLogSeverity(base::Severity::kDebug);
  if (!mac.empty()) {
    absl::StatusOr<net::MacAddress> parsed = ParseDeviceMac(mac);
    if (!parsed.ok()) {
      base::Log(base::Severity::kError, "--mac: {}",
                base::Text(parsed.status()));
      return kExitUsage;
    }
    options.mac = *parsed;
  }
  return Run(options);
}

}  // namespace
}  // namespace program

// Nothing here survives its own lack of memory, the parser included.
int main(int argc, char** argv) {  // NOLINT(bugprone-exception-escape)
  return program::Main(argc, argv);
}
