// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "tests/tools/flags.h"

namespace bench {
namespace {

// What is sent to a TAP at once, to be read afterwards: about 10 ms of work.
constexpr size_t kFillPackets = 16384;
constexpr size_t kFillLargePackets = 2048;
// A queue from which nothing came for so long is empty.
constexpr Duration kEmptyAfter = std::chrono::milliseconds(1);
// The kernel leaves ordinary threads 5 % of a CPU whatever others do: what they
// are not given between the rounds they take within.
constexpr int kPause = 10;

}  // namespace

double Series::median() const {
  std::vector<double> sorted = values_;
  std::sort(sorted.begin(), sorted.end());
  const size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle]
                                : (sorted[middle - 1] + sorted[middle]) / 2;
}
std::string Series::Format() const {
  return fmt::format("{:.3g} ({:.3g}..{:.3g})", median(), min(), max());
}

double Series::min() const { return *std::ranges::min_element(values_); }
double Series::max() const { return *std::ranges::max_element(values_); }

Series Series::DividedBy(const Series& other) const {
  Series result;
  for (size_t i = 0; i < values_.size(); ++i) {
    result.Add(values_[i] / other.values_[i]);
  }
  return result;
}

Contender::Contender(const Subject& subject, LaneOptions options,
                     const std::string& tap_name,
                     std::span<const std::unique_ptr<PinnedThread>> threads)
    : shape_(options.shape),
      driver_apart_(subject.driver_apart),
      driver_rest_(subject.driver_rest),
      tap_(tap_name, subject.threads),
      threads_(threads.first(subject.threads)),
      lanes_(subject.threads) {
  for (size_t i = 0; i < lanes_.size(); ++i) {
    threads_[i]->Run(
        [&, i] { lanes_[i] = subject.make(tap_.TakeQueue(i), options); });
  }
}

Contender::~Contender() {
  for (size_t i = 0; i < lanes_.size(); ++i) {
    threads_[i]->Run([&, i] { lanes_[i].reset(); });
  }
}

double Contender::Round(Duration length) {
  const bool large = shape_.frame_bytes > 2048;
  double packets_per_ns = 0;
  Duration spent{};
  int passes = 0;
  while (spent < length) {
    if (shape_.rx()) {
      tap_.Fill(shape_.frame_bytes, large ? kFillLargePackets : kFillPackets);
    }
    std::vector<Passage> passages(lanes_.size());
    Pass(length, passages);
    Duration longest{};
    for (const Passage& p : passages) {
      const uint64_t packets = shape_.mode == Mode::kBoth
                                   ? (p.traffic.written + p.traffic.read) / 2
                                   : p.traffic.written + p.traffic.read;
      if (packets == 0) tools::Die("no packet came through");
      packets_per_ns +=
          static_cast<double>(packets) / static_cast<double>(p.took.count());
      worst_idle_ =
          std::max(worst_idle_, static_cast<double>(p.idle.count()) /
                                    static_cast<double>(p.took.count()));
      longest = std::max(longest, p.took);
    }
    spent += longest;
    std::this_thread::sleep_for(longest / kPause);
    ++passes;
  }
  return passes / packets_per_ns;
}

void Contender::Pass(Duration length, std::span<Passage> passages) {
  stop_ = false;
  // All begin together, and not before the driver is there.
  std::atomic<bool> go = false;
  const auto start = [&] {
    go = true;
    go.notify_all();
  };
  for (size_t i = 0; i < lanes_.size(); ++i) {
    threads_[i]->Start([&, i] {
      go.wait(false);
      const Undisturbed undisturbed;
      passages[i] = Work(*lanes_[i], length);
    });
  }
  if (driver_apart_) {
    const Undisturbed undisturbed;
    start();
    while (!threads_.front()->done()) {
      lanes_.front()->Drive();
      const Instant rested = Now() + driver_rest_;
      while (driver_rest_ > Duration::zero() && Now() < rested) {
      }
    }
  }
  start();
  for (const auto& thread : threads_) thread->Wait();
}

// Until the time is over or, where packets are to be read, one of the queues
// is empty. What other queues have then is read, too, but does not count.
Contender::Passage Contender::Work(Lane& lane, Duration length) {
  Passage done;
  Passage now_at;
  const Instant start = Now();
  for (Instant now = start, last_read = start;;) {
    const Traffic moved = lane.Burst();
    if (!driver_apart_) lane.Drive();
    const Instant before = std::exchange(now, Now());
    now_at.traffic.written += moved.written;
    now_at.traffic.read += moved.read;
    now_at.took = now - start;
    if (moved.written + moved.read == 0) now_at.idle += now - before;
    const bool counts = !stop_.load(std::memory_order_relaxed);
    if (!shape_.rx()) {
      if (counts) done = now_at;
      if (now_at.took >= length) return done;
      continue;
    }
    if (moved.read > 0) {
      last_read = now;
      if (counts) done = now_at;
    } else if (now - last_read >= kEmptyAfter) {
      stop_ = true;
      return done;
    }
  }
}

}  // namespace bench
