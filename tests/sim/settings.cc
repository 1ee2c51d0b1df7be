// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/settings.h"

#include <fmt/format.h>

#include "net/wire/features.h"

namespace sim {

using coalesce::Params;

coalesce::Setting RandomCoalescing(World& world) {
  const Params params{.max_packets = static_cast<uint32_t>(world.Below(100)),
                      .max_usecs = static_cast<uint32_t>(
                          world.Below(world.OneIn(8) ? 2'000'000 : 2'000))};
  if (!world.OneIn(3)) return params;
  const bool latency = world.OneIn(2);
  return {params,
          {.kind = latency ? coalesce::Goal::Kind::kTargetLatency
                           : coalesce::Goal::Kind::kMaxRate,
           .value = static_cast<uint32_t>(world.Between(10, 20'000))}};
}

Settings::Settings(World& world) {
  uint64_t left_out = 0;
  const auto maybe = [&](unsigned feature, uint64_t one_in) {
    if (world.OneIn(one_in)) left_out |= net::Bit(feature);
  };
  maybe(net::kFeatureEventIdx, 3);
  maybe(net::kFeatureIndirectDesc, 3);
  maybe(net::kFeatureMrgRxbuf, 4);
  maybe(net::kFeatureCtrlVq, 8);
  maybe(net::kFeatureVqNotfCoal, 6);
  maybe(net::kFeatureGuestAnnounce, 4);
  // MQ needs commands.
  const bool commands = (left_out & net::Bit(net::kFeatureCtrlVq)) == 0;
  pairs = commands && world.OneIn(3) ? 2 : 1;
  if (pairs == 1) left_out |= net::Bit(net::kFeatureMq);
  features = net::Without(net::kOfferedFeatures, left_out);
  // Without MRG_RXBUF, Linux posts buffers of more than one page for more.
  if (net::Has(features, net::kFeatureMrgRxbuf) && world.OneIn(3)) mtu = 9000;
  rx_size = 32U << world.Below(4);
  tx_size = 32U << world.Below(4);
  base = static_cast<uint16_t>(world.OneIn(2) ? 0 : 65500);
  tx_napi = !world.OneIn(4);
  timer_poll = world.OneIn(4);
  busy_poll = world.OneIn(4);
  io_uring = world.OneIn(2);
  rx = RandomCoalescing(world);
  tx = RandomCoalescing(world);
}

std::string Settings::Text() const {
  return fmt::format(
      "{} pair(s), MTU {}, rings of {} and {} from {}, {}{}{}{}, features {}",
      pairs, mtu, rx_size, tx_size, base,
      io_uring ? "io_uring" : "system calls", tx_napi ? "" : ", no tx NAPI",
      timer_poll ? ", timer poll" : "", busy_poll ? ", busy poll" : "",
      net::FeatureNames(features));
}

}  // namespace sim
