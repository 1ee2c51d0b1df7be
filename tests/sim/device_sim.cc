// SPDX-License-Identifier: Apache-2.0
//
// Simulates the device with everything around it, for each of several seeds:
//
//   device_sim [--seed N] [--seeds N] [--steps N] [--seconds N]
//
// Runs `--seeds` seeds from `--seed` on, each for `--steps` steps. With
// `--seconds` it goes on with further seeds until that time has passed. Fails
// with the seed, the step and the last events as soon as something is wrong.
#include <fmt/format.h>
#include <signal.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/log.h"
#include "tests/sim/machine.h"
#include "tests/sim/world.h"

namespace {

struct Options {
  uint64_t seed = 1;
  uint64_t seeds = 1;
  uint64_t steps = 200'000;
  uint64_t seconds = 0;
};

// Steps between two drains.
constexpr uint64_t kDrainSteps = 20'000;

const sim::World* running = nullptr;
uint64_t running_seed = 0;

void Report(const char* what) {
  fmt::print("{}seed {}, step {}: {}\n", running->Journal(), running_seed,
             running->steps(), what);
  fflush(stdout);
}

// An assertion of the product failed, or it crashed.
void OnSignal(int) {
  Report("the product died");
  _Exit(1);
}

bool Run(uint64_t seed, uint64_t steps, sim::Machine::Counts& sum) {
  sim::World world(seed);
  running = &world;
  running_seed = seed;
  sim::Machine machine(world);
  for (uint64_t done = 0; done < steps && !world.failed();) {
    for (uint64_t i = 0; i < kDrainSteps && !world.failed(); ++i, ++done) {
      machine.Step();
    }
    if (!world.failed()) machine.Drain();
  }
  const sim::Machine::Counts counts = machine.counts();
  sum.crashes += counts.crashes;
  sum.moves += counts.moves;
  sum.drains += counts.drains;
  sum.received += counts.received;
  sum.sent += counts.sent;
  if (!world.failed()) return true;
  Report(world.failure().c_str());
  fmt::print("{}\n", machine.settings().Text());
  return false;
}

bool Parse(int count, char** words, Options& options) {
  for (int i = 1; i < count; i += 2) {
    const std::string name = words[i];
    uint64_t* const value = name == "--seed"      ? &options.seed
                            : name == "--seeds"   ? &options.seeds
                            : name == "--steps"   ? &options.steps
                            : name == "--seconds" ? &options.seconds
                                                  : nullptr;
    if (value == nullptr || i + 1 == count) return false;
    *value = std::strtoull(words[i + 1], nullptr, 10);
  }
  return true;
}

}  // namespace

int main(int count, char** words) {
  Options options;
  if (!Parse(count, words, options)) {
    fmt::print(stderr,
               "usage: device_sim [--seed N] [--seeds N] [--steps N] "
               "[--seconds N]\n");
    return 2;
  }
  base::SetMinLogSeverity(static_cast<base::Severity>(99));
  signal(SIGABRT, OnSignal);
  signal(SIGSEGV, OnSignal);

  const auto start = std::chrono::steady_clock::now();
  const auto passed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         start)
        .count();
  };
  sim::Machine::Counts counts;
  uint64_t seeds = 0;
  while (seeds < options.seeds ||
         passed() < static_cast<double>(options.seconds)) {
    if (!Run(options.seed + seeds, options.steps, counts)) return 1;
    ++seeds;
  }
  fmt::print(
      "{} seeds, {} steps each and drains, {:.1f} s: {} crashes, {} moves, {} "
      "drains, {} packets received, {} sent\n",
      seeds, options.steps, passed(), counts.crashes, counts.moves,
      counts.drains, counts.received, counts.sent);
  return 0;
}
