// SPDX-License-Identifier: Apache-2.0
//
// `vduse-net run`.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "cli/command.h"
#include "cli/option_checks.h"
#include "daemon/bounce_memory.h"
#include "daemon/options.h"
#include "daemon/run.h"
#include "net/wire/features.h"
#include "net/wire/mac_address.h"
#include "vduse/device_name.h"

namespace cli {
namespace {

using coalesce::Goal;
using program::RunOptions;
using program::SandboxOptions;
using program::TapLost;

struct CommandOptions {
  RunOptions run;
  std::optional<uint32_t> target_latency_usecs;
  std::optional<uint32_t> max_irq_rate;
  bool verbose = false;
  std::string config;
};

net::Engine EngineOf(const std::string& name) {
  if (name == "io_uring") return net::Engine::kUring;
  if (name == "syscalls") return net::Engine::kSyscalls;
  return net::Engine::kAuto;
}

absl::Status IsProfile(const std::string& name) {
  if (net::FindProfile(name) != nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError("no profile '" + name +
                                    "': see `vduse-net profiles`");
}

absl::Status CanBeLeftOut(const std::string& names) {
  const absl::StatusOr<uint64_t> features = net::ParseFeatureNames(names);
  if (!features.ok() || net::Optional(*features)) return features.status();
  return absl::InvalidArgumentError("no driver works without " + names);
}

// Options that the device is made with.
void AddDevice(Command run, RunOptions& options) {
  run.Value("--name", options.name, "Name of the device")
      .Required()
      .Checks(vduse::CheckDeviceName);
  run.Parsed(
         "--mac",
         [&](const std::string& text) {
           options.mac = net::ParseDeviceMac(text).value_or(net::MacAddress());
         },
         "MAC address (default: random)")
      .Checks([](const std::string& text) {
        return net::ParseDeviceMac(text).status();
      });
  run.Value("--mtu", options.mtu,
            "MTU that the driver sees; sets the TAP's, too (default: 1500; the "
            "TAP's stays)")
      .From(net::kMinMtu, net::kMaxMtu);
  run.Value("--queue-size", options.queue_size,
            "Largest queue size, a power of 2 from 32 to 32768 (default: 256)")
      .Checks(program::CheckQueueSize);
  run.Value("--speed", options.speed,
            "Speed the driver sees, in Mbit/s (default: the TAP's, as a rule "
            "10000)")
      .From(0, net::kMaxSpeed);
  run.Value(
         "--profile", options.profile,
         "Offer only the features of this profile (see `vduse-net profiles`; "
         "default: all that the kernel allows)")
      .Checks(IsProfile);
  run.Parsed(
         "--without",
         [&](const std::string& names) {
           options.without = net::ParseFeatureNames(names).value_or(0);
         },
         "Features not to offer, like GUEST_TSO4,GUEST_TSO6, and what depends "
         "on them")
      .Checks(CanBeLeftOut);
  run.Value("--restore", options.restore,
            "Continue with a state that `vduse-net state save` wrote");
  run.Flag("--attach", options.attach,
           "Attach to the vDPA bus, like `vdpa dev add`");
}

void AddTap(Command run, RunOptions& options) {
  run.Value("--tap", options.tap, "TAP interface, created if absent")
      .Required()
      .Checks(CheckTapName);
  run.Parsed(
         "--tap-lost",
         [&](const std::string& text) {
           options.tap_lost =
               text == "exit" ? TapLost::kExit : TapLost::kReopen;
         },
         "When the TAP is deleted: reopen (wait, with the link down, until a "
         "TAP of the same name exists) or exit (default: reopen)")
      .OneOf({"reopen", "exit"});
}

// Options of the threads that serve the device.
void AddThreads(Command run, RunOptions& options) {
  run.Value("--queue-pairs", options.queue_pairs,
            "Queue pairs that a driver may use, each with a thread and a queue "
            "of the TAP (default: 1)")
      .From(1, net::kMaxQueuePairs);
  run.Parsed(
         "--cpus",
         [&](const std::string& list) {
           options.cpus = program::ParseCpus(list).value_or(std::vector<int>());
         },
         "CPUs for the queue pairs' threads, in turn, like 2,4-6 (default: "
         "any)")
      .Checks([](const std::string& list) {
        return program::ParseCpus(list).status();
      });
  run.Parsed(
         "--engine",
         [&](const std::string& name) { options.engine = EngineOf(name); },
         "How packets get into and out of the TAP: io_uring, syscalls, or "
         "auto, which is io_uring if it is available (default: auto)")
      .OneOf({"auto", "io_uring", "syscalls"});
  run.Value("--busy-poll-usecs", options.busy_poll_usecs,
            "Busy-poll for packets for up to N microseconds before sleeping, "
            "while that pays (default: 0)")
      .From(0, program::kMaxBusyPollUsecs);
  run.Value(
         "--timer-poll-usecs", options.timer_poll_usecs,
         "Busy-poll for the last N microseconds before a notification is due "
         "(default: 0)")
      .From(0, program::kMaxTimerPollUsecs);
  run.Value("--hang-msecs", options.hang_msecs,
            "Replace the process that serves the device if it makes no "
            "progress for N milliseconds; 0: never, for use with a debugger "
            "(default: 200)")
      .Checks(program::CheckHangMsecs);
}

SandboxOptions::Mode SandboxModeOf(const std::string& name) {
  if (name == "log") return SandboxOptions::Mode::kLog;
  if (name == "off") return SandboxOptions::Mode::kOff;
  return SandboxOptions::Mode::kOn;
}

// What the processes may do.
void AddSandbox(Command run, SandboxOptions& options) {
  run.Value("--user", options.user,
            "User of the process that serves the device, a name or a number "
            "(default: vduse-net, or 65534 if there is no such user)");
  run.Parsed(
         "--sandbox",
         [&](const std::string& name) { options.mode = SandboxModeOf(name); },
         "Limit what the processes may do: on, log (system calls without a "
         "rule are logged and allowed), or off, for debugging (default: on)")
      .OneOf({"on", "log", "off"});
}

// The operator's coalescing.
void AddCoalescing(Command run, CommandOptions& options) {
  const std::string until =
      "; applies until the driver sets its own, and after a reset";
  coalesce::Params& rx = options.run.rx.params;
  coalesce::Params& tx = options.run.tx.params;
  run.Value("--rx-usecs", rx.max_usecs,
            "Delay of rx notifications in microseconds" + until)
      .From(0);
  run.Value("--rx-frames", rx.max_packets,
            "Packets per rx notification" + until)
      .From(0);
  run.Value("--tx-usecs", tx.max_usecs,
            "Delay of tx notifications in microseconds" + until)
      .From(0);
  run.Value("--tx-frames", tx.max_packets,
            "Packets per tx notification" + until)
      .From(0);
  const Option latency =
      run.Value("--target-latency-usecs", options.target_latency_usecs,
                "Coalesce adaptively: under load, a notification comes N "
                "microseconds after its first packet" +
                    until)
          .From(1, Goal::kMaxValue);
  run.Value("--max-irq-rate", options.max_irq_rate,
            "Coalesce adaptively: at most N notifications a second per queue" +
                until)
      .From(1, Goal::kMaxValue)
      .Excludes(latency);
}

std::optional<Goal> GoalOf(const CommandOptions& options) {
  if (options.target_latency_usecs) {
    return Goal{.kind = Goal::Kind::kTargetLatency,
                .value = *options.target_latency_usecs};
  }
  if (options.max_irq_rate) {
    return Goal{.kind = Goal::Kind::kMaxRate, .value = *options.max_irq_rate};
  }
  return std::nullopt;
}

// What the options say together.
absl::Status Check(CommandOptions& options) {
  options.run.sandbox.io_uring = options.run.engine != net::Engine::kSyscalls;
  options.run.rx.goal = options.run.tx.goal = GoalOf(options);
  for (const std::string& text : CoalescingWarnings(options.run)) {
    base::Log(base::Severity::kWarning, "{}", text);
  }
  return program::CheckRings(options.run);
}

base::ExitCode Run(const CommandOptions& options) {
  if (options.verbose) base::SetMinLogSeverity(base::Severity::kDebug);
  return program::Run(options.run);
}

}  // namespace

void AddRun(Command program) {
  const auto options = std::make_shared<CommandOptions>();
  Command run = program.Add(
      "run", "Create (or adopt) a device and serve it until SIGTERM");
  run.ConfigFile("--config", options->config,
                 "File with options, a line each, like `tap = tap0`; the "
                 "command line takes precedence");
  AddDevice(run, options->run);
  AddTap(run, options->run);
  AddThreads(run, options->run);
  AddSandbox(run, options->run.sandbox);
  AddCoalescing(run, *options);
  run.Value("--state-dir", options->run.state_dir,
            "Directory for the state that a restarted process needs")
      .ShowsDefault();
  run.Flag("--verbose", options->verbose, "Log more");
  run.Checks([=] { return Check(*options); });
  run.Does([=] { return Run(*options); });
}

}  // namespace cli
