// SPDX-License-Identifier: Apache-2.0
//
// Whether coalescing keeps its bounds on this machine: a worker over a real
// TAP, and a driver on another CPU that watches when packets are completed and
// when it is notified.
//   timing_bench [--round-ms N] [--timer-poll-usecs N]
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/eventfd.h"
#include "net/features.h"
#include "net/header.h"
#include "net/worker.h"
#include "tests/bench/bench_driver.h"
#include "tests/bench/bench_tap.h"
#include "tests/bench/pinned_thread.h"
#include "tests/tools/flags.h"

namespace bench {
namespace {

using std::chrono::microseconds;

constexpr uint32_t kQueueSize = 256;
constexpr uint32_t kFrameBytes = 64;
constexpr uint32_t kBufferBytes = 2048;
// Notifications are always wanted, and nobody is asked.
constexpr uint64_t kFeatures =
    net::Bit(net::kFeatureVersion1) | net::Bit(net::kFeatureMrgRxbuf);
constexpr Time kGap = microseconds(10);  // between two packets, on average
constexpr uint32_t kBurst = 32;

struct Setting {
  net::Direction direction;
  bool bursts;
  coalesce::Params params;
};

struct Outcome {
  uint64_t packets = 0;
  Time elapsed{};
  uint64_t notifications = 0;
  std::vector<Time> lateness;  // of those that the time brought about

  uint64_t Bound(coalesce::Params params) const {
    const Time delay = microseconds(params.max_usecs);
    return packets / params.max_packets +
           static_cast<uint64_t>(elapsed / delay) + 1;
  }
  double LateUsecs(size_t percent) const {
    if (lateness.empty()) return 0;
    const size_t at =
        std::min(lateness.size() * percent / 100, lateness.size() - 1);
    return static_cast<double>(lateness[at].count()) / 1000;
  }
};

// When packets up to the `end`th were seen to be completed.
struct Completion {
  Time at;
  uint64_t end;
};

// A worker with its driver.
class Subject {
 public:
  Subject(const Setting& setting, Time timer_poll)
      : setting_(setting),
        rx_(setting.direction == net::Direction::kRx),
        device_(2, 4 << 20),
        queue_(device_, {.size = kQueueSize,
                         .buffer_bytes = kBufferBytes,
                         .writable = rx_,
                         .full = rx_}),
        tap_(fmt::format("timing{}", count_++), 1),
        attention_(base::MakeEventfd()) {
    const std::vector<uint8_t> packet = MakePacket(kFrameBytes, 9);
    for (uint32_t i = 0; i < kQueueSize; ++i) {
      std::memcpy(queue_.buffer(i), packet.data(), packet.size());
    }
    auto worker = net::Worker::Start(
        device_,
        {.attention = attention_.get(), .timer_poll = timer_poll, .cpu = 1});
    if (!worker.ok()) tools::Die("{}", std::string(worker.status().message()));
    worker_ = std::move(*worker);
    absl::Status status = worker_->SetTap(net::Tap(tap_.TakeQueue(0)));
    worker_->Call([&](net::QueuePair<net::Tap>& pair) {
      status.Update(pair.Start(setting.direction, queue_.info(), kFeatures,
                               vduse::Virtqueue::Start::kFresh, setting.params,
                               net::Now()));
    });
    if (!status.ok()) tools::Die("{}", std::string(status.message()));
  }

  Outcome Run(Time length) {
    const uint32_t at_once = setting_.bursts ? kBurst : 1;
    const auto capacity = static_cast<size_t>(length / kGap) + kBurst;
    completions_.clear();
    completions_.reserve(capacity);
    worker_->Call([&](net::QueuePair<net::Tap>& /*pair*/) {
      device_.KeepInjections(capacity, queue_.info().device_addr);
    });
    const Time begin = Now();
    const Time end = begin + length;
    Time next = begin;
    Time now = begin;
    for (; now < end; now = Now()) {
      if (now >= next) {
        Bring(at_once);
        next += kGap * at_once;
      }
      Watch();
    }
    // What is pending is still to come.
    const Time last = now + microseconds(setting_.params.max_usecs) +
                      std::chrono::milliseconds(10);
    while (Now() < last) Watch();
    std::vector<BenchDevice::Injection> injections;
    worker_->Call([&](net::QueuePair<net::Tap>& /*pair*/) {
      injections = device_.injections();
    });
    return Judge(injections, now - begin);
  }

 private:
  // New packets for the device.
  void Bring(uint32_t packets) {
    if (rx_) {
      for (; packets > 0; --packets) {
        tap_.Fill(kFrameBytes, 1);
        Watch();
      }
      return;
    }
    queue_.Offer(std::min(packets, kQueueSize - queue_.outstanding()));
    base::SignalEventfd(worker_->kick_fd(net::Direction::kTx));
  }

  void Watch() {
    const uint32_t packets = queue_.Take();
    if (packets == 0) return;
    completions_.push_back({.at = Now(), .end = queue_.packets()});
    if (rx_) queue_.Offer(packets);
  }

  // Each notification is of what was completed since the one before.
  Outcome Judge(const std::vector<BenchDevice::Injection>& injections,
                Time elapsed) const {
    Outcome outcome;
    outcome.elapsed = elapsed;
    outcome.notifications = injections.size();
    size_t first = 0;  // of completions_
    for (const BenchDevice::Injection& injection : injections) {
      while (first < completions_.size() &&
             completions_[first].end <= outcome.packets) {
        ++first;
      }
      const auto packets = static_cast<uint16_t>(
          injection.used - static_cast<uint16_t>(outcome.packets));
      outcome.packets += packets;
      if (packets >= setting_.params.max_packets) continue;
      if (first == completions_.size()) continue;
      outcome.lateness.push_back(injection.at - completions_[first].at -
                                 microseconds(setting_.params.max_usecs));
    }
    std::sort(outcome.lateness.begin(), outcome.lateness.end());
    return outcome;
  }

  // An interface stays for a moment after its user.
  static inline int count_ = 0;

  const Setting setting_;
  const bool rx_;
  BenchDevice device_;
  BenchQueue queue_;
  BenchTap tap_;
  base::UniqueFd attention_;
  std::unique_ptr<net::Worker> worker_;
  std::vector<Completion> completions_;
};

int Main(int argc, char** argv) {
  const tools::Flags flags(argc, argv, 1, " --round-ms --timer-poll-usecs ");
  const Time length =
      std::chrono::milliseconds(flags.Number("--round-ms", 200));
  const Time timer_poll = microseconds(flags.Number("--timer-poll-usecs", 0));
  EnterNamespace();
  PinTo(0);
  fmt::print(
      "Notifications of bound, and how late those were that the time brought "
      "about: us, median/99th\npercentile; a packet every {} us or {} at once, "
      "--timer-poll-usecs {}\n\n"
      "| usecs/frames | rx, steady | rx, bursts | tx, steady | tx, bursts |\n"
      "|---|---|---|---|---|\n",
      kGap / microseconds(1), kBurst, timer_poll / microseconds(1));
  int status = 0;
  for (const uint32_t usecs : {8U, 16U, 50U, 100U, 1000U}) {
    for (const uint32_t frames : {2U, 16U, 64U, 256U}) {
      std::string row = fmt::format("| {}/{} |", usecs, frames);
      for (const auto direction : {net::Direction::kRx, net::Direction::kTx}) {
        for (const bool bursts : {false, true}) {
          const Setting setting = {
              .direction = direction,
              .bursts = bursts,
              .params = {.max_packets = frames, .max_usecs = usecs}};
          const Undisturbed undisturbed;
          const Outcome outcome = Subject(setting, timer_poll).Run(length);
          const uint64_t bound = outcome.Bound(setting.params);
          if (outcome.packets == 0 || outcome.notifications > bound) status = 1;
          row +=
              fmt::format(" {} of {}, {:.1f}/{:.1f} |", outcome.notifications,
                          bound, outcome.LateUsecs(50), outcome.LateUsecs(99));
        }
      }
      fmt::print("{}\n", row);
    }
  }
  fmt::print("\n");
  return status;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::Main(argc, argv); }
