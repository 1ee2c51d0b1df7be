// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/wire.h"

#include <errno.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "net/path/rx_path.h"
#include "net/path/tx_path.h"
#include "tests/sim/settings.h"

namespace sim {
namespace {

using net::IoResult;

constexpr size_t kPatternBytes = 1 << 16;

// Bytes without a pattern that a mistake could hit.
const std::vector<uint8_t>& Pattern() {
  static const std::vector<uint8_t> pattern = [] {
    std::vector<uint8_t> bytes(2 * kPatternBytes);
    uint32_t state = 1;
    for (uint8_t& byte : bytes) {
      state = state * 1664525 + 1013904223;
      byte = static_cast<uint8_t>(state >> 24);
    }
    return bytes;
  }();
  return pattern;
}

const uint8_t* Tail(uint64_t number) {
  return Pattern().data() + number * 37 % kPatternBytes;
}

}  // namespace

void Wire::Write(uint64_t number, bool foreign, std::span<uint8_t> packet) {
  std::memset(packet.data(), 0, kNumberAt);
  const net::MacAddress& to = foreign ? kForeignMac : kMac;
  std::copy(to.begin(), to.end(), packet.begin() + net::kHeaderBytes);
  std::memcpy(packet.data() + kNumberAt, &number, sizeof(number));
  std::memcpy(packet.data() + kLeastBytes, Tail(number),
              packet.size() - kLeastBytes);
}

bool Wire::Check(uint64_t number, std::span<const uint8_t> packet) {
  return packet.size() >= kLeastBytes && NumberOf(packet) == number &&
         std::memcmp(packet.data() + kLeastBytes, Tail(number),
                     packet.size() - kLeastBytes) == 0;
}

uint64_t Wire::NumberOf(std::span<const uint8_t> packet) {
  uint64_t number = UINT64_MAX;
  if (packet.size() >= kLeastBytes) {
    std::memcpy(&number, packet.data() + kNumberAt, sizeof(number));
  }
  return number;
}

// --- To the driver
// ------------------------------------------------------------

void Wire::Arrive(bool foreign) {
  if (gone_) return;
  const bool small = !world_.OneIn(4);
  const size_t most = small ? std::min<size_t>(options_.largest_packet, 200)
                            : options_.largest_packet;
  Inbound packet{.number = next_rx_++,
                 .bytes = world_.Between(kLeastBytes, most),
                 .foreign = foreign,
                 .forgiven = world_.now() < forgiven_until_};
  NoteMode(packet);
  queued_.push_back(packet);
}

void Wire::NoteMode(Inbound& packet) const {
  if (!packet.foreign) return;
  packet.wanted |= wants_foreign_ || !mode_certain_;
  packet.unwanted |= !wants_foreign_ || !mode_certain_;
}

void Wire::SetPromiscuous(bool on, bool certain) {
  wants_foreign_ = on;
  mode_certain_ = certain;
  for (auto* packets : {&queued_, &on_its_way_}) {
    for (Inbound& packet : *packets) NoteMode(packet);
  }
}

void Wire::Forgive(Duration more) {
  for (auto* packets : {&queued_, &on_its_way_}) {
    for (Inbound& packet : *packets) packet.forgiven = true;
  }
  forgiven_until_ = std::max(forgiven_until_, world_.now() + more);
}

void Wire::DropStaged() {
  EndEpoch(kMostStaged);
  // A successor may have inherited them.
  for (const Inbound& packet : on_its_way_) {
    epochs_[packet.epoch].limit = kMostStaged;
  }
}

void Wire::EndEpoch(uint64_t limit) {
  epochs_.back().limit = limit;
  epochs_.emplace_back();
}

void Wire::Received(std::span<const uint8_t> packet) {
  const uint64_t number = NumberOf(packet);
  while (!on_its_way_.empty() && on_its_way_.front().number < number) {
    CheckLost(on_its_way_.front());
    on_its_way_.pop_front();
  }
  if (on_its_way_.empty() || on_its_way_.front().number != number) {
    world_.Fail(fmt::format("pair {}: the driver got packet {} twice, or late",
                            pair_, number));
    return;
  }
  const Inbound expected = on_its_way_.front();
  on_its_way_.pop_front();
  ++delivered_;
  if (packet.size() != expected.bytes || !Check(number, packet)) {
    world_.Fail(
        fmt::format("pair {}: packet {} came in {} bytes of {}, or "
                    "changed",
                    pair_, number, packet.size(), expected.bytes));
  }
  if (expected.foreign && !expected.wanted) {
    world_.Fail(
        fmt::format("pair {}: packet {} is not for the driver", pair_, number));
  }
}

// A packet that was read and that the driver will not get.
void Wire::CheckLost(const Inbound& packet) {
  if (packet.forgiven || packet.damaged) return;
  if (packet.foreign && packet.unwanted) return;
  if (world_.now() - packet.read_at >= net::RxPath::kLackLimit) return;
  Epoch& epoch = epochs_[packet.epoch];
  if (packet.epoch + 1 < epochs_.size() && ++epoch.lost <= epoch.limit) return;
  world_.Fail(
      fmt::format("pair {}: received packet {} was lost; {} others in "
                  "its epoch were, of {}",
                  pair_, packet.number, epoch.lost, epoch.limit));
}

void Wire::CheckDelivered() {
  for (const Inbound& packet : on_its_way_) CheckLost(packet);
  on_its_way_.clear();
  if (!queued_.empty()) {
    world_.Fail(fmt::format("pair {}: {} packets were left in the port", pair_,
                            queued_.size()));
  }
}

// --- From the driver
// ----------------------------------------------------------

void Wire::Returned(uint64_t number) {
  returned_ = number + 1;
  if (number < next_tx_ || MayBeMissing(number)) return;
  world_.Fail(fmt::format("pair {}: packet {} came back without being sent",
                          pair_, number));
}

Wire::Refused& Wire::RefusedAt(uint64_t number) {
  Refused& refused = refused_[number % refused_.size()];
  if (refused.number != number) {
    refused = {.number = number, .first = world_.now()};
  }
  return refused;
}

bool Wire::MayBeMissing(uint64_t number) {
  if (any_gap_) return true;
  const Refused& refused = refused_[number % refused_.size()];
  return refused.number == number &&
         (refused.dropped ||
          world_.now() - refused.first >= net::TxPath::kBlockedLimit);
}

void Wire::Transmitted(uint64_t number) {
  const uint64_t expected = process_next_.value_or(std::max(next_tx_, number));
  if (process_next_ ? number < expected
                    : number + options_.crash_cost.repeated_tx < next_tx_) {
    world_.Fail(fmt::format("pair {}: packet {} was sent again, {} was due",
                            pair_, number, std::max(expected, next_tx_)));
  }
  if (number < returned_) {
    world_.Fail(
        fmt::format("pair {}: packet {} was sent again, after the "
                    "driver got it back",
                    pair_, number));
  }
  const uint64_t due = process_next_.value_or(next_tx_);
  for (uint64_t missing = due; missing < number; ++missing) {
    if (MayBeMissing(missing)) continue;
    world_.Fail(fmt::format("pair {}: packet {} was not sent, {} was", pair_,
                            missing, number));
  }
  if (!gone_) any_gap_ = false;
  process_next_ = number + 1;
  next_tx_ = std::max(next_tx_, number + 1);
}

// --- The port
// -------------------------------------------------------------------

void Wire::BeginProcess() {
  EndEpoch(options_.crash_cost.lost_rx);
  process_next_.reset();
}

void Wire::Block(Duration length) { blocked_until_ = world_.now() + length; }

std::optional<Instant> Wire::deadline() const {
  if (world_.now() < blocked_until_) return blocked_until_;
  return std::nullopt;
}

void Wire::SetGone(bool gone) {
  if (gone == gone_) return;
  world_.Note(gone ? "port gone" : "port new", pair_);
  if (gone) {
    any_gap_ = true;  // what the driver sends meanwhile is dropped
    queued_.clear();
  }
  gone_ = gone;
}

IoResult Wire::ReadOne(std::span<const iovec> to) {
  if (gone_) return {.error = EBADFD};
  if (queued_.empty()) return {.error = EAGAIN};
  Inbound packet = queued_.front();
  packet.epoch = epochs_.size() - 1;
  packet.read_at = world_.now();
  queued_.pop_front();
  if (trouble_ > 0 && world_.OneIn(4 * trouble_)) {
    packet.damaged = true;
    on_its_way_.push_back(packet);
    return {.error = EINVAL};
  }
  on_its_way_.push_back(packet);
  std::array<uint8_t, kLargestPacket> bytes;
  Write(packet.number, packet.foreign, std::span(bytes).first(packet.bytes));
  size_t done = 0;
  for (const iovec& part : to) {
    const size_t n = std::min(part.iov_len, packet.bytes - done);
    if (n > 0) std::memcpy(part.iov_base, bytes.data() + done, n);
    done += n;
  }
  return {.bytes = done};
}

IoResult Wire::WriteOne(std::span<const iovec> from) {
  std::array<uint8_t, kLargestPacket> bytes;
  size_t done = 0;
  for (const iovec& part : from) {
    const size_t n = std::min(part.iov_len, bytes.size() - done);
    if (n > 0) std::memcpy(bytes.data() + done, part.iov_base, n);
    done += n;
  }
  const std::span<const uint8_t> packet = std::span(bytes).first(done);
  const uint64_t number = NumberOf(packet);
  if (!Check(number, packet)) {
    world_.Fail(
        fmt::format("pair {}: a packet of {} bytes, {}, is not what "
                    "the driver sent",
                    pair_, done, number));
    return {.bytes = done};
  }
  int error = 0;
  if (gone_) {
    error = EBADFD;
    any_gap_ = true;
  } else if (!writable()) {
    error = EAGAIN;
  } else if (trouble_ > 0 && world_.OneIn(trouble_)) {
    constexpr std::array<int, 4> kErrors = {EAGAIN, EIO, ENOBUFS, EINVAL};
    error = kErrors[world_.Below(kErrors.size())];
    if (world_.OneIn(8)) Block(std::chrono::microseconds(world_.Below(15000)));
  }
  if (error != 0) {
    Refused& refused = RefusedAt(number);
    refused.dropped = refused.dropped || error != EAGAIN;
    refused_in_call_.push_back(number);
    return {.error = error};
  }
  // What this packet has overtaken must not be sent any more.
  for (const uint64_t refused : refused_in_call_) {
    RefusedAt(refused).dropped = true;
  }
  refused_in_call_.clear();
  Transmitted(number);
  return {.bytes = done};
}

size_t WirePort::at_once(size_t packets) const {
  return std::min(packets, wire_.options_.at_once);
}

// A process may be killed between two system calls, but not between two packets
// of one.
void WirePort::Transfer(std::span<net::Io> packets,
                        absl::FunctionRef<IoResult(net::Io&)> one) {
  World& world = wire_.world_;
  for (size_t i = 0; i < packets.size(); ++i) {
    if (i == 0 || !results_) world.Point();
    packets[i].result =
        world.dead() ? IoResult{.error = EAGAIN} : one(packets[i]);
    if (results_) results_->Post(packets[i], i);
  }
  world.Point();
}

void WirePort::Read(std::span<net::Io> packets) {
  Transfer(packets,
           [this](net::Io& packet) { return wire_.ReadOne(packet.segments); });
}

void WirePort::Write(std::span<net::Io> packets) {
  wire_.refused_in_call_.clear();
  Transfer(packets,
           [this](net::Io& packet) { return wire_.WriteOne(packet.segments); });
}

}  // namespace sim
