// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/driver.h"

#include <algorithm>
#include <cstddef>

#include "net/wire/config_space.h"
#include "net/wire/features.h"

namespace sim {
namespace {

size_t LargestPacket(const Settings& settings) {
  return net::kHeaderBytes + net::kEthernetHeaderBytes + settings.mtu;
}

LinuxQueue::Options QueueOptions(const Settings& settings, uint32_t index,
                                 uint32_t size) {
  return {.index = index,
          .size = size,
          .event_idx = net::Has(settings.features, net::kFeatureEventIdx)};
}

}  // namespace

uint64_t Driver::RingBytes(const Settings& settings) {
  // A descriptor, an available and a used entry, and the rest.
  const auto ring = [](uint64_t size) { return size * (16 + 2 + 8) + 512; };
  return settings.pairs * (ring(settings.rx_size) + ring(settings.tx_size)) +
         ring(64) + 256;
}

uint64_t Driver::MemoryBytes(const Settings& settings) {
  const uint64_t rx = settings.rx_size * uint64_t{LinuxRx::kBufferBytes};
  // A packet, and an indirect table.
  const uint64_t tx =
      settings.tx_size * (LargestPacket(settings) + 64 + 19 * 5 * 16 + 5 * 64);
  const uint64_t bytes =
      RingBytes(settings) + settings.pairs * (rx + tx) + (64 << 10);
  return (bytes + 4095) / 4096 * 4096;
}

Driver::Driver(World& world, Kernel& kernel, SharedMemory& memory,
               const Settings& settings, std::deque<Wire>& wires)
    : world_(world),
      kernel_(kernel),
      settings_(settings),
      wires_(wires),
      memory_(memory.data(), Kernel::kStart, memory.bytes()),
      operator_{settings.rx, settings.tx} {
  // The rings first: they are in the first region.
  for (uint32_t pair = 0; pair < settings.pairs; ++pair) {
    rx_.emplace_back(world, kernel, memory_, wires[pair],
                     QueueOptions(settings, 2 * pair, settings.rx_size));
    tx_.emplace_back(
        world, kernel, memory_, wires[pair],
        LinuxTx::Options{
            .queue = QueueOptions(settings, 2 * pair + 1, settings.tx_size),
            .napi = settings.tx_napi,
            .indirect = net::Has(settings.features, net::kFeatureIndirectDesc),
            .largest_packet = LargestPacket(settings)});
    queues_.push_back(&rx_.back().queue());
    queues_.push_back(&tx_.back().queue());
  }
  if (net::Has(settings.features, net::kFeatureCtrlVq)) {
    commands_.emplace(world, kernel, memory_, settings, wires);
    queues_.push_back(&commands_->queue());
  }
  for (LinuxTx& tx : tx_) tx.AllocateBuffers();
}

void Driver::Start() {
  for (LinuxRx& rx : rx_) rx.Start(settings_.base);
  for (LinuxTx& tx : tx_) tx.Start(settings_.base);
  if (commands_) commands_->Start(settings_.base);
  if (!commands_) {
    for (Wire& wire : wires_) wire.SetPromiscuous(true, true);
  }
  must_announce_ = false;
}

vduse::QueueInfo Driver::SetUpOf(uint32_t index, uint16_t position) {
  vduse::QueueInfo info = queues_[index]->ring().info();
  info.position = {.avail_index = position};
  return info;
}

coalesce::Params Driver::Bound(uint32_t queue) const {
  return commands_ ? commands_->Bound(queue) : operator_[queue % 2].bound();
}

void Driver::SetOperator(coalesce::Direction direction,
                         const coalesce::Setting& setting) {
  operator_[static_cast<size_t>(direction)] = setting;
  if (commands_) commands_->SetOperator(direction, setting);
}

bool Driver::HasWork() {
  if (!runs_) return false;
  // Nobody waits for interrupts of the control queue.
  for (uint32_t i = 0; i < 2 * settings_.pairs; ++i) {
    if (kernel_.HasInterrupt(i)) return true;
  }
  for (const LinuxRx& rx : rx_) {
    if (rx.polls()) return true;
  }
  for (const LinuxTx& tx : tx_) {
    if (tx.polls()) return true;
  }
  return kernel_.HasConfigInterrupt() ||
         (commands_ && (commands_->queue().has_used() ||
                        (must_announce_ && !commands_->busy())));
}

void Driver::HandleInterrupt(uint32_t index) {
  if (!kernel_.TakeInterrupt(index)) return;
  if (index % 2 == 0) {
    rx_[index / 2].Interrupt();
  } else {
    tx_[index / 2].Interrupt();
  }
}

void Driver::HandleConfigInterrupt() {
  if (!kernel_.TakeConfigInterrupt()) return;
  const uint8_t status = kernel_.config()[offsetof(net::ConfigSpace, status)];
  if ((status & net::kStatusAnnounce) != 0) must_announce_ = true;
}

void Driver::ActOnPair(uint32_t pair, bool load) {
  LinuxRx& rx = rx_[pair];
  LinuxTx& tx = tx_[pair];
  switch (world_.Below(5)) {
    case 0:
      HandleInterrupt(2 * pair);
      break;
    case 1:
      HandleInterrupt(2 * pair + 1);
      break;
    case 2:
      if (rx.polls()) rx.Poll();
      break;
    case 3:
      if (tx.polls()) tx.Poll();
      break;
    default:
      if (!load) return;
      for (uint64_t more = world_.OneIn(8) ? world_.Below(40) : world_.Below(3);
           ; --more) {
        tx.Send(more > 0);
        if (more == 0) break;
      }
  }
}

void Driver::Act(bool load) {
  if (!runs_) return;
  if (!world_.OneIn(6) || !commands_) {
    ActOnPair(static_cast<uint32_t>(world_.Below(settings_.pairs)), load);
    if (!commands_ && world_.OneIn(16)) HandleConfigInterrupt();
    return;
  }
  HandleConfigInterrupt();
  commands_->Poll();
  if (commands_->busy()) return;
  if (must_announce_) {
    must_announce_ = false;
    commands_->SendAnnounceAck();
  } else if (load && world_.OneIn(8)) {
    commands_->SendRandom();
  }
}

void Driver::CheckOwed(Instant served_since, bool count) {
  for (uint32_t i = 0; i < 2 * settings_.pairs; ++i) {
    // A received packet may take several chains.
    const bool packets = i % 2 == 1 || settings_.mtu <= 1500;
    queues_[i]->CheckOwed(Bound(i), served_since, count && packets);
  }
  if (commands_) commands_->CheckAnswered(served_since);
}

void Driver::CheckIdle() {
  for (uint32_t pair = 0; pair < active_pairs(); ++pair) {
    wires_[pair].CheckDelivered();
  }
  for (LinuxTx& tx : tx_) tx.CheckUsed();
  if (commands_ && commands_->busy()) world_.Fail("a command has no answer");
}

}  // namespace sim
