// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <utility>

#include "net/path/tap.h"
#include "tests/bench/pair_lane.h"

namespace bench {
namespace {

// The one place that knows of the device's ways to its port.
std::unique_ptr<net::Tap> MakePort(base::UniqueFd tap,
                                   const std::string& engine) {
  auto port = std::make_unique<net::Tap>(std::move(tap));
  if (engine == "syscalls") return port;
  if (engine != "auto") tools::Die("no engine '{}': auto, syscalls", engine);
  const absl::Status started = port->StartEngine(net::Engine::kUring);
  if (!started.ok()) tools::Die("{}", std::string(started.message()));
  return port;
}

}  // namespace

std::unique_ptr<Lane> MakeDeviceLane(base::UniqueFd tap,
                                     const LaneOptions& options) {
  return std::make_unique<PairLane>(MakePort(std::move(tap), options.engine),
                                    options);
}

}  // namespace bench
