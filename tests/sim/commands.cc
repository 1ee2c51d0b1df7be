// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/commands.h"

#include <fmt/format.h>

#include <array>
#include <chrono>

#include "net/path/rx_filter.h"
#include "net/wire/ctrl_wire.h"
#include "net/wire/features.h"

namespace sim {
namespace {

using coalesce::Direction;
using coalesce::Params;
namespace ctrl = net::ctrl;

constexpr uint32_t kCtrlSize = 64;
constexpr uint8_t kNoStatus = 0xee;

// From a queue to the next one that a command sets.
constexpr uint32_t kSameDirection = 2;
constexpr uint32_t kNoOther = 1000;

template <typename T>
std::span<const uint8_t> BytesOf(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof(value)};
}

bool Delays(const Params& params) {
  return params.max_packets > 0 && params.max_usecs > 0;
}

// The bound that allows what either allows.
Params Wider(const Params& a, const Params& b) {
  if (!Delays(a)) return b;
  if (!Delays(b)) return a;
  return {.max_packets = std::max(a.max_packets, b.max_packets),
          .max_usecs = std::max(a.max_usecs, b.max_usecs)};
}

}  // namespace

Commands::Commands(World& world, Kernel& kernel, tests::DriverMemory& memory,
                   const Settings& settings, std::deque<Wire>& wires)
    : world_(world),
      settings_(settings),
      wires_(wires),
      memory_(memory),
      reply_(memory.Allocate(sizeof(ctrl::Coal))),
      status_(memory.Allocate(1)),
      queue_(world, kernel, memory,
             {.index = 2 * settings.pairs,
              .size = kCtrlSize,
              .event_idx = net::Has(settings.features, net::kFeatureEventIdx)}),
      operator_{settings.rx, settings.tx},
      bounds_(2 * settings.pairs) {}

void Commands::Start(uint16_t base) {
  queue_.Restart(base);
  for (uint32_t i = 0; i < bounds_.size(); ++i) {
    const Params params = operator_[i % 2].bound();
    bounds_[i] = {.in_force = params, .next = params};
  }
  all_ = {};
  promiscuous_ = !net::Has(settings_.features, net::kFeatureCtrlRx);
  for (Wire& wire : wires_) wire.SetPromiscuous(promiscuous_, true);
  pairs_ = next_pairs_ = 1;
}

void Commands::SetOperator(Direction direction,
                           const coalesce::Setting& setting) {
  operator_[static_cast<size_t>(direction)] = setting;
  for (uint32_t i = static_cast<uint32_t>(direction); i < bounds_.size();
       i += 2) {
    QueueBound& bound = bounds_[i];
    if (bound.by_driver) continue;
    bound.in_force = setting.bound();
    if (!bound.pending) bound.next = bound.in_force;
  }
}

void Commands::ReenableQueue(uint32_t queue) {
  QueueBound& bound = bounds_[queue];
  const std::optional<Params>& all = all_[queue % 2];
  bound.by_driver = all.has_value();
  bound.in_force = all.value_or(operator_[queue % 2].bound());
  bound.next = bound.in_force;
}

Params Commands::Bound(uint32_t queue) const {
  return Wider(bounds_[queue].in_force, bounds_[queue].next);
}

void Commands::Send(uint8_t command_class, uint8_t command,
                    std::span<const uint8_t> payload, uint32_t reply_bytes) {
  world_.Note("command", command_class, command);
  const ctrl::Header header{.command_class = command_class, .command = command};
  tests::ChainBuilder chain = queue_.ring().Chain();
  chain.Readable(BytesOf(header));
  if (!payload.empty()) chain.Readable(payload);
  if (reply_bytes > 0) chain.WritableAt(reply_, reply_bytes);
  *memory_.At(status_) = kNoStatus;
  chain.WritableAt(status_, 1).Offer();
  queue_.CountOffered();
  sent_at_ = world_.now();
  queue_.ring().KickIfWanted();
}

void Commands::SendRandom() {
  if (!served_) return;
  expected_status_ = ctrl::kOk;
  expected_.clear();
  on_answered_ = [] {};
  may_fail_ = false;
  switch (world_.Below(8)) {
    case 0:
      SendPromiscuous();
      break;
    case 1:
      SendPairs();
      break;
    case 2:
    case 3:
      SendCoalescing();
      break;
    case 4:
    case 5:
      SendQueueCoalescing();
      break;
    case 6:
      SendQuery();
      break;
    default:
      SendUnknown();
  }
}

void Commands::SendUnknown() {
  constexpr uint8_t kNoClass = 99;
  expected_status_ = ctrl::kErr;
  expected_.clear();
  on_answered_ = [] {};
  Send(kNoClass, 0, {});
}

void Commands::SendAnnounceAck() {
  expected_status_ = ctrl::kOk;
  expected_.clear();
  on_answered_ = [] {};
  may_fail_ = false;
  Send(ctrl::kClassAnnounce, ctrl::kAnnounceAck, {});
}

void Commands::SendPromiscuous() {
  const bool on = world_.OneIn(2);
  for (Wire& wire : wires_) wire.SetPromiscuous(on, false);
  on_answered_ = [this, on] {
    for (Wire& wire : wires_) wire.SetPromiscuous(on, true);
  };
  const ctrl::Switch payload = on ? 1 : 0;
  Send(ctrl::kClassRx, static_cast<uint8_t>(net::RxMode::kPromisc),
       BytesOf(payload));
}

void Commands::SendPairs() {
  if (settings_.pairs < 2) return;
  next_pairs_ = static_cast<uint32_t>(world_.Between(1, settings_.pairs));
  // What waits for an unused pair may be lost.
  const auto forgive = [this] {
    for (uint32_t i = active_pairs(); i < wires_.size(); ++i) {
      wires_[i].Forgive();
    }
  };
  forgive();
  on_answered_ = [this, forgive] {
    forgive();
    pairs_ = next_pairs_;
  };
  const auto payload = static_cast<ctrl::QueuePairs>(next_pairs_);
  Send(ctrl::kClassMq, ctrl::kPairsSet, BytesOf(payload));
}

// The command will set queues `first`, `first` + `step`...
void Commands::SetBounds(uint32_t first, uint32_t step, Params params) {
  for (uint32_t i = first; i < bounds_.size(); i += step) {
    bounds_[i].next = params;
    bounds_[i].pending = true;
  }
  on_answered_ = [this, first, step] {
    for (uint32_t i = first; i < bounds_.size(); i += step) {
      bounds_[i].in_force = bounds_[i].next;
      bounds_[i].by_driver |= *memory_.At(status_) == ctrl::kOk;
      bounds_[i].pending = false;
    }
    if (step == kSameDirection) all_[first] = bounds_[first].in_force;
  };
}

void Commands::SendCoalescing() {
  const Params params = RandomCoalescing(world_).params;
  const bool rx = world_.OneIn(2);
  SetBounds(rx ? 0 : 1, kSameDirection, params);
  const ctrl::Coal payload{.max_packets = params.max_packets,
                           .max_usecs = params.max_usecs};
  Send(ctrl::kClassNotfCoal, rx ? ctrl::kCoalRxSet : ctrl::kCoalTxSet,
       BytesOf(payload));
}

void Commands::SendQueueCoalescing() {
  if (!net::Has(settings_.features, net::kFeatureVqNotfCoal)) return;
  const Params params = RandomCoalescing(world_).params;
  const auto queue = static_cast<uint16_t>(world_.Below(bounds_.size()));
  SetBounds(queue, kNoOther, params);
  const ctrl::CoalVq payload{.queue = {.vq_index = queue, .reserved = 0},
                             .coal = {.max_packets = params.max_packets,
                                      .max_usecs = params.max_usecs}};
  Send(ctrl::kClassNotfCoal, ctrl::kCoalVqSet, BytesOf(payload));
}

void Commands::SendQuery() {
  if (!net::Has(settings_.features, net::kFeatureVqNotfCoal)) return;
  const auto queue = static_cast<uint16_t>(world_.Below(bounds_.size()));
  const Params& params = bounds_[queue].in_force;
  const ctrl::Coal coal{.max_packets = params.max_packets,
                        .max_usecs = params.max_usecs};
  // The operator may change it before the device answers.
  if (bounds_[queue].by_driver) {
    const auto bytes = BytesOf(coal);
    expected_.assign(bytes.begin(), bytes.end());
  }
  const ctrl::CoalVqIndex payload{.vq_index = queue, .reserved = 0};
  Send(ctrl::kClassNotfCoal, ctrl::kCoalVqGet, BytesOf(payload),
       sizeof(ctrl::Coal));
}

void Commands::Poll() {
  const std::optional<tests::UsedEntry> used = queue_.Take();
  if (!used) return;
  if (!sent_at_) {
    world_.Fail("a command was answered twice");
    return;
  }
  sent_at_.reset();
  world_.Note("command answered", *memory_.At(status_));
  CheckAnswer();
  on_answered_();
}

void Commands::CheckAnswer() {
  const uint8_t status = *memory_.At(status_);
  if (status != expected_status_) {
    if (status == ctrl::kErr && may_fail_) {
      for (QueueBound& bound : bounds_) bound.next = bound.in_force;
      return;
    }
    world_.Fail(fmt::format("a command was answered with status {}", status));
    return;
  }
  if (!std::equal(expected_.begin(), expected_.end(), memory_.At(reply_))) {
    world_.Fail("VQ_GET returned other parameters than the driver has set");
  }
}

void Commands::SetServed(bool served) {
  served_ = served;
  // Parameters of a queue that does not run yet are refused.
  if (!served) may_fail_ = true;
}

void Commands::CheckAnswered(Instant served_since) {
  if (!sent_at_ || queue_.has_used()) return;
  if (world_.now() - std::max(*sent_at_, served_since) < kAnswerLimit) return;
  world_.Fail("a command was not answered");
}

}  // namespace sim
