// SPDX-License-Identifier: Apache-2.0
//
// `vduse-net simulate` and `vduse-net tune`.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status_text.h"
#include "cli/cli.h"
#include "cli/cli_parse.h"
#include "cli/simulate_command.h"
#include "cli/tune_command.h"
#include "daemon/options.h"
#include "simulate/arrivals.h"

namespace cli {

namespace {

void AddFilter(CLI::App* simulate, CLI::Option* pcap,
               simulate::CaptureFilter& filter) {
  simulate
      ->add_option("--filter", filter.expression,
                   "Only packets that pcap-filter(7) matches, like 'udp port "
                   "53'")
      ->needs(pcap);
  const auto is_mac = [](const std::string& text) -> std::string {
    return base::Text(net::ParseMac(text).status());
  };
  simulate
      ->add_option("--from", filter.from,
                   "Only packets with this source MAC address")
      ->check(is_mac)
      ->needs(pcap);
  simulate
      ->add_option("--to", filter.to,
                   "Only packets with this destination MAC address")
      ->check(is_mac)
      ->needs(pcap);
}

}  // namespace

void AddSimulate(CLI::App& app, Actions& actions) {
  const auto options = std::make_shared<SimulateOptions>();
  CLI::App* simulate = app.add_subcommand(
      "simulate",
      "What coalescing would do to packets: notifications against added "
      "latency, without a device");
  CLI::Option* pcap = simulate->add_option(
      "--pcap", options->pcap,
      "Packets that come as in this capture, pcap or pcapng (- for standard "
      "input)");
  AddFilter(simulate, pcap, options->filter);
  simulate
      ->add_option("--arrivals", options->arrivals,
                   "Packets that come as steady:RATE, poisson:RATE or "
                   "bursts:RATE,SIZE, in packets per second")
      ->excludes(pcap);
  simulate
      ->add_option("--packets", options->packets, "How many, with --arrivals")
      ->transform(Number(1, simulate::kMaxPackets))
      ->capture_default_str();
  simulate->add_option("--seed", options->seed, "Of poisson's chance")
      ->transform(Number(0, UINT64_MAX))
      ->capture_default_str();
  simulate->add_option(
      "settings", options->settings,
      "off, USECS/FRAMES, latency:USECS or rate:PER_SECOND (default: a sweep)");
  simulate
      ->add_option("--queue-size", options->queue_size,
                   "More packets than this never wait")
      ->transform(Number(1, 32768))
      ->capture_default_str();
  simulate
      ->add_option("--timer-lateness-usecs", options->timer_lateness_usecs,
                   "How late every timer is")
      ->transform(Number(0, 1'000'000))
      ->capture_default_str();
  simulate
      ->add_option("--poll-nsecs", options->poll_nsecs,
                   "Per packet, the driver polls for so long and wants no "
                   "notification")
      ->transform(Number(0, 1'000'000'000))
      ->capture_default_str();
  simulate->add_flag("-j,--json", options->json, "As JSON");
  simulate->add_option("--chart", options->chart, "Write a chart here, as SVG");
  actions[simulate] = [=] {
    return Report(Simulate(*options), /*judges_options=*/true);
  };
}

void AddTune(CLI::App& app, Actions& actions) {
  const auto options = std::make_shared<TuneOptions>();
  const auto words = std::make_shared<std::vector<std::string>>();
  options->state_dir = program::kDefaultStateDir;
  CLI::App* tune = app.add_subcommand(
      "tune",
      "Try settings on a device under the traffic that it has, and recommend "
      "one; it is then as it was before");
  tune->add_option("words", *words,
                   "[dev] NAME [USECS/FRAMES...] (default: a sweep)");
  tune->add_option("--direction", options->direction,
                   "rx or tx (default: both, one after the other)")
      ->check([](const std::string& text) -> std::string {
        if (text == "rx" || text == "tx") return "";
        return "'" + text + "' is neither rx nor tx";
      });
  tune->add_option("--rounds", options->rounds, "How often each is tried")
      ->transform(Number(2, TuneOptions::kMaxRounds))
      ->capture_default_str();
  tune->add_option("--window-msecs", options->window_msecs,
                   "How long it is looked at each time")
      ->transform(Number(10, TuneOptions::kMaxWindowMsecs))
      ->capture_default_str();
  tune->add_option("--max-wait-usecs", options->max_wait_usecs,
                   "The longest that packets may wait, on average, with what "
                   "is recommended")
      ->transform(Number(0))
      ->capture_default_str();
  tune->add_option("--state-dir", options->state_dir,
                   "As the device's process was started with")
      ->capture_default_str();
  tune->add_flag("-j,--json", options->json, "As JSON");
  tune->add_option("--chart", options->chart, "Write a chart here, as SVG");
  actions[tune] = [=] {
    const absl::Status named = TakeTuneWords(*words, *options);
    if (!named.ok()) return base::Fail(base::kExitUsage, named);
    return Report(Tune(*options), /*judges_options=*/true);
  };
}

}  // namespace cli
