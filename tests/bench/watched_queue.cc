// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/watched_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <string>

#include "base/eventfd.h"
#include "net/wire/features.h"
#include "net/wire/header.h"
#include "tests/tools/flags.h"

namespace bench {
namespace {

using std::chrono::microseconds;

constexpr uint32_t kFrameBytes = 64;
constexpr uint32_t kBufferBytes = 2048;
// Notifications are always wanted, and nobody is asked.
constexpr uint64_t kWatchedFeatures =
    net::Bit(net::kFeatureVersion1) | net::Bit(net::kFeatureMrgRxbuf);

// An interface stays for a moment after its user: each has its own name.
std::string NextTap() {
  static int count = 0;
  return fmt::format("timing{}", count++);
}

}  // namespace

uint64_t Notified::Bound(coalesce::Params params) const {
  const Duration delay = microseconds(params.max_usecs);
  return packets / params.max_packets + static_cast<uint64_t>(elapsed / delay) +
         1;
}

WatchedQueue::WatchedQueue(const Setting& setting, Duration timer_poll)
    : setting_(setting),
      rx_(setting.direction == net::Direction::kRx),
      device_(2, 4 << 20),
      queue_(device_, {.size = setting.queue_size,
                       .buffer_bytes = kBufferBytes,
                       .writable = rx_,
                       .full = rx_}),
      tap_(NextTap(), 1),
      attention_(base::MakeEventfd()) {
  const std::vector<uint8_t> packet = MakePacket(kFrameBytes, 9);
  for (uint32_t i = 0; i < setting.queue_size; ++i) {
    std::memcpy(queue_.buffer(i), packet.data(), packet.size());
  }
  auto worker = net::Worker::Start(
      device_,
      {.attention = attention_.get(), .timer_poll = timer_poll, .cpu = 1});
  if (!worker.ok()) tools::Die("{}", std::string(worker.status().message()));
  worker_ = std::move(*worker);
  absl::Status status = worker_->SetTap(net::Tap(tap_.TakeQueue(0)));
  worker_->Call([&](net::QueuePair& pair) {
    status.Update(pair.path(setting.direction)
                      .Start(queue_.info(), kWatchedFeatures,
                             vduse::Virtqueue::Start::kFresh,
                             setting.coalescing, net::Now()));
  });
  if (!status.ok()) tools::Die("{}", std::string(status.message()));
}

Notified WatchedQueue::Run(Duration length) {
  const auto capacity =
      static_cast<size_t>(length / setting_.gap) + setting_.at_once;
  completions_.clear();
  completions_.reserve(capacity);
  worker_->Call([&](net::QueuePair& /*pair*/) {
    device_.KeepInjections(capacity, queue_.info().device_addr);
  });
  const Instant begin = Now();
  const Instant end = begin + length;
  const Duration step = setting_.gap * setting_.at_once;
  Instant next = begin;
  Instant now = begin;
  for (; now < end; now = Now()) {
    const bool pause =
        setting_.off > Duration::zero() &&
        (now - begin) % (setting_.on + setting_.off) >= setting_.on;
    if (now >= next && !pause) {
      Bring();
      next += step;
      // A thread that was away does not make up for it with a burst.
      if (next < now) next = now + step;
    }
    Watch();
  }
  // What is pending is still to come.
  const Instant last = now +
                       microseconds(setting_.coalescing.bound().max_usecs) +
                       std::chrono::milliseconds(10);
  while (Now() < last) Watch();
  std::vector<BenchDevice::Injection> injections;
  uint64_t switched = 0;
  worker_->Call([&](net::QueuePair& pair) {
    injections = device_.injections();
    const net::QueuePairCounters counters = pair.counters();
    switched = (rx_ ? counters.rx.queue : counters.tx.queue).decisions.switched;
  });
  Notified outcome = Sum(injections, now - begin);
  outcome.switched = switched;
  return outcome;
}

// New packets for the device.
void WatchedQueue::Bring() {
  if (rx_) {
    for (uint32_t packets = setting_.at_once; packets > 0; --packets) {
      tap_.Fill(kFrameBytes, 1);
      Watch();
    }
    return;
  }
  queue_.Offer(
      std::min(setting_.at_once, setting_.queue_size - queue_.outstanding()));
  base::SignalEventfd(worker_->kick_fd(net::Direction::kTx));
}

void WatchedQueue::Watch() {
  const uint32_t packets = queue_.Take();
  if (packets == 0) return;
  completions_.push_back({.at = Now(), .end = queue_.packets()});
  if (rx_) queue_.Offer(packets);
}

// Each notification is of what was completed since the one before.
Notified WatchedQueue::Sum(
    const std::vector<BenchDevice::Injection>& injections,
    Duration elapsed) const {
  const coalesce::Params bound = setting_.coalescing.bound();
  Notified outcome;
  outcome.elapsed = elapsed;
  outcome.notifications = injections.size();
  uint64_t seen = 0;
  for (const Completion& completion : completions_) {
    for (; seen < completion.end; ++seen) {
      outcome.arrivals.push_back(
          Instant(completion.at - completions_.front().at));
    }
  }
  size_t at = 0;  // of completions_: the first that is not told of yet
  for (const BenchDevice::Injection& injection : injections) {
    const size_t first = at;
    const auto packets = static_cast<uint16_t>(
        injection.used - static_cast<uint16_t>(outcome.packets));
    const uint64_t told = outcome.packets + packets;
    for (; at < completions_.size() && outcome.packets < told; ++at) {
      const uint64_t end = std::min(completions_[at].end, told);
      // What was seen only afterwards did not wait.
      const Duration wait =
          std::max(injection.at - completions_[at].at, Duration::zero());
      outcome.waited += wait * static_cast<int64_t>(end - outcome.packets);
      outcome.packets = end;
      if (completions_[at].end > told) break;  // the rest comes later
    }
    outcome.packets = told;
    if (packets >= bound.max_packets) continue;
    if (first == completions_.size()) continue;
    outcome.lateness.push_back(injection.at - completions_[first].at -
                               microseconds(bound.max_usecs));
  }
  return outcome;
}

}  // namespace bench
