// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/linux_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace sim {
namespace {

// How late the simulation may wake a worker, and a retry by the device.
constexpr Duration kSlack = std::chrono::milliseconds(3);

}  // namespace

LinuxQueue::LinuxQueue(World& world, Kernel& kernel,
                       tests::DriverMemory& memory, const Options& options)
    : world_(world),
      kernel_(kernel),
      options_(options),
      ring_(kernel, memory,
            {.index = options.index,
             .size = options.size,
             .event_idx = options.event_idx}) {}

void LinuxQueue::Restart(uint16_t base) {
  ring_.Restart(base);
  last_used_ = offered_ = base;
  disabled_ = true;
  disarmed_ = false;
  owed_since_.reset();
  ring_.SetNoInterrupt(true);
  ring_.SetUsedEvent(0);
  // A new ring asks for the first kick. Linux's begin at 0, where this is so.
  ring_.StoreUsed(ring_.AvailEventWord(), base);
}

std::optional<tests::UsedEntry> LinuxQueue::Take() {
  std::optional<tests::UsedEntry> used = ring_.TakeUsed();
  if (used) ++last_used_;
  return used;
}

bool LinuxQueue::Interrupt() {
  if (!has_used()) return false;
  disarmed_ = true;
  DisableNotification();
  return true;
}

void LinuxQueue::DisableNotification() {
  if (disabled_) return;
  disabled_ = true;
  owed_since_.reset();
  // One that has come will not come again by itself.
  if (disarmed_) return;
  if (options_.event_idx) {
    ring_.SetUsedEvent(0);
  } else {
    ring_.SetNoInterrupt(true);
  }
}

void LinuxQueue::EnableNotification(uint16_t event) {
  disarmed_ = false;
  disabled_ = false;
  event_ = event;
  owed_since_.reset();
  ring_.SetNoInterrupt(false);
  ring_.SetUsedEvent(event);
}

bool LinuxQueue::AwaitNext() {
  EnableNotification(last_used_);
  return !has_used();
}

bool LinuxQueue::AwaitMost() {
  const auto outstanding = static_cast<uint16_t>(offered_ - last_used_);
  const auto most = static_cast<uint16_t>(outstanding * 3U / 4);
  EnableNotification(static_cast<uint16_t>(last_used_ + most));
  return static_cast<uint16_t>(ring_.used_idx() - last_used_) <= most;
}

uint16_t LinuxQueue::Unnotified() {
  if (disabled_ || kernel_.HasInterrupt(options_.index)) return 0;
  const auto used = static_cast<uint16_t>(ring_.used_idx() - last_used_);
  if (!options_.event_idx) return used;
  const auto before = static_cast<uint16_t>(event_ - last_used_);
  return used > before ? static_cast<uint16_t>(used - before) : uint16_t{0};
}

void LinuxQueue::CheckOwed(const coalesce::Params& bound, Instant served_since,
                           bool count) {
  const uint16_t unnotified = Unnotified();
  if (unnotified == 0) {
    owed_since_.reset();
    return;
  }
  if (!owed_since_) owed_since_ = world_.now();
  const bool delays = bound.max_packets > 0 && bound.max_usecs > 0;
  const Duration delay =
      delays ? std::min<Duration>(std::chrono::microseconds(bound.max_usecs),
                                  coalesce::Coalescer::kMaxDelay)
             : Duration::zero();
  const Instant since = std::max(*owed_since_, served_since);
  if (world_.now() - since > delay + kSlack) {
    world_.Fail(fmt::format(
        "queue {}: {} chains are used, and the driver was not notified for "
        "{} us; max_usecs is {}",
        options_.index, unnotified,
        std::chrono::ceil<std::chrono::microseconds>(world_.now() - since)
            .count(),
        bound.max_usecs));
  }
  const uint32_t packets = delays ? std::min(bound.max_packets, size()) : 1;
  if (count && *owed_since_ > served_since && unnotified >= packets) {
    world_.Fail(fmt::format(
        "queue {}: {} chains are used without a notification; max_packets is "
        "{}",
        options_.index, unnotified, bound.max_packets));
  }
}

}  // namespace sim
