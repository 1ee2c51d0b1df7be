// SPDX-License-Identifier: Apache-2.0
//
// `vduse-net run`.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/status_text.h"
#include "cli/cli.h"
#include "cli/cli_parse.h"
#include "cli/option_checks.h"
#include "daemon/bounce_memory.h"
#include "daemon/options.h"
#include "daemon/run.h"
#include "net/wire/features.h"
#include "vduse/device_name.h"

namespace cli {
namespace {

std::optional<net::Engine> EngineOf(const std::string& name) {
  if (name == "auto") return net::Engine::kAuto;
  if (name == "io_uring") return net::Engine::kUring;
  if (name == "syscalls") return net::Engine::kSyscalls;
  return std::nullopt;
}

std::optional<program::TapLost> TapLostOf(const std::string& text) {
  if (text == "reopen") return program::TapLost::kReopen;
  if (text == "exit") return program::TapLost::kExit;
  return std::nullopt;
}

// What the device is.
void AddDevice(CLI::App* run, program::RunOptions& options) {
  run->add_option("--name", options.name, "Name of the device")
      ->required()
      ->check([](const std::string& name) -> std::string {
        return base::Text(vduse::CheckDeviceName(name));
      });
  run->add_option("--tap", options.tap, "TAP interface, created if absent")
      ->required()
      ->check([](const std::string& name) -> std::string {
        return base::Text(CheckTapName(name));
      });
  run->add_option_function<std::string>(
         "--tap-lost",
         [&options](const std::string& text) {
           options.tap_lost = *TapLostOf(text);
         },
         "When the TAP is deleted: reopen, which waits with the link down for "
         "one of the same name, or exit (default: reopen)")
      ->check([](const std::string& text) -> std::string {
        if (TapLostOf(text)) return "";
        return "'" + text + "' is not one of reopen, exit";
      });
  run->add_option_function<std::string>(
         "--mac",
         [&options](const std::string& text) {
           options.mac = net::ParseDeviceMac(text).value_or(net::MacAddress{});
         },
         "MAC address (default: random)")
      ->check([](const std::string& text) -> std::string {
        return base::Text(net::ParseDeviceMac(text).status());
      });
  run->add_option("--mtu", options.mtu,
                  "MTU the driver sees, and of the TAP (default: 1500 and as "
                  "it is)")
      ->transform(Number(net::kMinMtu, net::kMaxMtu));
  run->add_option("--queue-size", options.queue_size,
                  "Largest queue size, a power of 2 from 32 to 32768 "
                  "(default: 256)")
      ->transform(CLI::Validator(
          [](std::string& text) -> std::string {
            const absl::Status status = program::CheckQueueSize(text);
            if (!status.ok()) return base::Text(status);
            WithoutLeadingZeros(text);
            return "";
          },
          ""));
  run->add_option("--speed", options.speed,
                  "Speed the driver sees, in Mbit/s (default: the TAP's, as "
                  "a rule 10000)")
      ->transform(Number(0, net::kMaxSpeed));
  run->add_option("--profile", options.profile,
                  "Offer just the features of that name, whatever this release "
                  "knows beyond them (see `vduse-net profiles`; default: all "
                  "that the kernel allows)")
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
}

// Which threads serve it, and how.
void AddThreads(CLI::App* run, program::RunOptions& options) {
  run->add_option("--queue-pairs", options.queue_pairs,
                  "Queue pairs that a driver may use, each with a thread and a "
                  "queue of the TAP (default: 1)")
      ->transform(Number(1, net::kMaxQueuePairs));
  run->add_option_function<std::string>(
         "--cpus",
         [&options](const std::string& list) {
           options.cpus = program::ParseCpus(list).value_or(std::vector<int>());
         },
         "CPUs for the queue pairs' threads, in turn, like 2,4-6 (default: "
         "any)")
      ->check([](const std::string& list) -> std::string {
        const auto cpus = program::ParseCpus(list);
        return cpus.ok() ? "" : base::Text(cpus.status());
      });
  run->add_option_function<std::string>(
         "--engine",
         [&options](const std::string& name) {
           options.engine = *EngineOf(name);
         },
         "How packets get into and out of the TAP: io_uring, "
         "syscalls, or auto, which is io_uring if it can be had "
         "(default: auto)")
      ->check([](const std::string& name) -> std::string {
        if (EngineOf(name)) return "";
        return "'" + name + "' is not one of auto, io_uring, syscalls";
      });
  run->add_option("--busy-poll-usecs", options.busy_poll_usecs,
                  "Look for packets for up to so long before sleeping, while "
                  "that pays (default: 0)")
      ->transform(Number(0, program::kMaxBusyPollUsecs));
  run->add_option("--timer-poll-usecs", options.timer_poll_usecs,
                  "Do not sleep for the last so long before a notification is "
                  "due (default: 0)")
      ->transform(Number(0, program::kMaxTimerPollUsecs));
}

// The operator's coalescing.
void AddCoalescing(CLI::App* run, program::RunOptions& options) {
  const std::string until = " until the driver sets it, and after a reset";
  run->add_option("--rx-usecs", options.rx.params.max_usecs,
                  "Delay of rx notifications in microseconds" + until)
      ->transform(Number(0));
  run->add_option("--rx-frames", options.rx.params.max_packets,
                  "Packets per rx notification" + until)
      ->transform(Number(0));
  run->add_option("--tx-usecs", options.tx.params.max_usecs,
                  "Delay of tx notifications in microseconds" + until)
      ->transform(Number(0));
  run->add_option("--tx-frames", options.tx.params.max_packets,
                  "Packets per tx notification" + until)
      ->transform(Number(0));
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
          ->transform(Number(1, coalesce::Goal::kMaxValue));
  run->add_option_function<uint32_t>(
         "--max-irq-rate", adaptive(coalesce::Goal::Kind::kMaxRate),
         "Coalesce adaptively: at most so many notifications a second, of a "
         "queue" +
             until)
      ->transform(Number(1, coalesce::Goal::kMaxValue))
      ->excludes(latency);
}

}  // namespace

void AddRun(CLI::App& app, Actions& actions) {
  const auto options = std::make_shared<program::RunOptions>();
  const auto verbose = std::make_shared<bool>(false);
  CLI::App* run = app.add_subcommand(
      "run", "Create (or adopt) a device and serve it until SIGTERM");
  AddDevice(run, *options);
  AddThreads(run, *options);
  AddCoalescing(run, *options);
  run->add_option("--state-dir", options->state_dir,
                  "Where to keep what a restarted process needs")
      ->capture_default_str();
  run->add_flag("--verbose", *verbose, "Log more");
  actions[run] = [=] {
    if (*verbose) base::SetMinLogSeverity(base::Severity::kDebug);
    for (const std::string& text : CoalescingWarnings(*options)) {
      base::Log(base::Severity::kWarning, "{}", text);
    }
    if (const absl::Status rings = program::CheckRings(*options); !rings.ok()) {
      return base::Fail(base::kExitUsage, rings);
    }
    return program::Run(*options);
  };
}

}  // namespace cli
