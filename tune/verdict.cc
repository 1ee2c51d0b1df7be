// SPDX-License-Identifier: Apache-2.0
#include "tune/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace tune {
namespace {

// Traffic is slowed if its packet rate is below this share of the rate with
// coalescing off.
constexpr double kSlowed = 0.98;

Figure FigureOf(const std::vector<Window>& windows,
                const std::function<double(const Window&)>& value) {
  std::vector<double> values;
  values.reserve(windows.size());
  for (const Window& window : windows) values.push_back(value(window));
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  const double median = values.size() % 2 == 1
                            ? values[middle]
                            : (values[middle - 1] + values[middle]) / 2;
  return {.median = median, .least = values.front(), .most = values.back()};
}

Result ResultOf(const Measured& measured) {
  const auto per_packet = [](uint64_t value, const Window& window) {
    return static_cast<double>(value) /
           static_cast<double>(std::max<uint64_t>(window.packets, 1));
  };
  Result result;
  result.params = measured.params;
  result.packets_per_second = FigureOf(measured.windows, [](const Window& w) {
    return static_cast<double>(w.packets) / w.seconds;
  });
  result.notifications_per_packet =
      FigureOf(measured.windows,
               [&](const Window& w) { return per_packet(w.notifications, w); });
  result.wait_usecs = FigureOf(measured.windows, [&](const Window& w) {
    return per_packet(w.waited_ns, w) / 1000;
  });
  return result;
}

// How far two figures may differ by chance, as estimated from their ranges.
double Noise(const Figure& a, const Figure& b) {
  return std::max(a.range(), b.range());
}

bool Dominates(const Result& a, const Result& b) {
  const double more =
      a.notifications_per_packet.median - b.notifications_per_packet.median;
  const double longer = a.wait_usecs.median - b.wait_usecs.median;
  return more <= 0 && longer <= 0 && (more < 0 || longer < 0);
}

void FindFront(std::vector<Result>& results) {
  for (Result& result : results) {
    result.on_front =
        !result.slows &&
        std::none_of(results.begin(), results.end(), [&](const Result& other) {
          return !other.slows && Dominates(other, result);
        });
  }
}

// Keeps the indices for which `keep` holds. Returns whether any is left.
bool Narrow(std::vector<size_t>& indices,
            const std::function<bool(size_t)>& keep) {
  std::erase_if(indices, [&](size_t index) { return !keep(index); });
  return !indices.empty();
}

// Sets the choice, or the reason why there is none.
void Choose(double max_wait_usecs, Verdict& verdict) {
  const std::vector<Result>& results = verdict.results;
  const Figure& off = results.front().notifications_per_packet;
  std::vector<size_t> left;
  double saved_most = 0;
  double noise = off.range();
  for (size_t i = 1; i < results.size(); ++i) {
    const Figure& figure = results[i].notifications_per_packet;
    const double saved = off.median - figure.median;
    if (saved > saved_most) {
      saved_most = saved;
      noise = Noise(off, figure);
    }
    if (saved > Noise(off, figure)) left.push_back(i);
  }
  if (left.empty()) {
    verdict.reason = fmt::format(
        "the best setting saves {:.3f} notifications per packet, and the "
        "figures vary by {:.3f} from one window to the next: measure more or "
        "longer windows, or with steadier traffic",
        saved_most, noise);
    return;
  }
  if (!Narrow(left, [&](size_t i) {
        return results[i].wait_usecs.median <= max_wait_usecs;
      })) {
    verdict.reason = fmt::format(
        "with each setting that saves notifications, packets wait for more "
        "than {:g} us on average",
        max_wait_usecs);
    return;
  }
  if (!Narrow(left, [&](size_t i) { return !results[i].slows; })) {
    verdict.reason =
        "each setting that saves notifications slows the traffic down";
    return;
  }
  const auto notifications = [&](size_t i) -> const Figure& {
    return results[i].notifications_per_packet;
  };
  const size_t best =
      *std::min_element(left.begin(), left.end(), [&](size_t a, size_t b) {
        return notifications(a).median < notifications(b).median;
      });
  Narrow(left, [&](size_t i) {
    return notifications(i).median - notifications(best).median <=
           Noise(notifications(i), notifications(best));
  });
  verdict.choice =
      *std::min_element(left.begin(), left.end(), [&](size_t a, size_t b) {
        return results[a].wait_usecs.median < results[b].wait_usecs.median;
      });
}

}  // namespace

Verdict Compare(const std::vector<Measured>& measured, double max_wait_usecs) {
  Verdict verdict;
  uint64_t fewest = UINT64_MAX;
  for (const Measured& one : measured) {
    verdict.results.push_back(ResultOf(one));
    for (const Window& window : one.windows) {
      fewest = std::min(fewest, window.packets);
    }
    Result& result = verdict.results.back();
    const Figure& speed = result.packets_per_second;
    const Figure& off = verdict.results.front().packets_per_second;
    result.slows = speed.most < off.least * kSlowed;
  }
  FindFront(verdict.results);
  if (fewest < kLeastPackets) {
    verdict.reason = fmt::format(
        "one window has {} packets, and at least {} are needed: measure longer "
        "windows, or with more traffic",
        fewest, kLeastPackets);
  } else {
    Choose(max_wait_usecs, verdict);
  }
  return verdict;
}

}  // namespace tune
