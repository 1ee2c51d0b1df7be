// SPDX-License-Identifier: Apache-2.0
#include "coalesce/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace coalesce {

// The bucket of a value follows from its leading kBits + 1 bits and from the
// number of bits (`shift`) behind them:
//
//   1 b b b b x x x      bucket: shift * 16 + 1bbbb
//   |leading| |shift|
size_t Histogram::BucketOf(uint64_t value) {
  const auto width = static_cast<unsigned>(std::bit_width(value));
  const unsigned shift = width > kBits + 1 ? width - kBits - 1 : 0;
  return (static_cast<size_t>(shift) << kBits) + (value >> shift);
}

uint64_t Histogram::MiddleOf(size_t bucket) {
  const size_t shift = bucket >> (kBits + 1) == 0 ? 0 : (bucket >> kBits) - 1;
  const uint64_t leading = bucket - (shift << kBits);
  return (leading << shift) + (((uint64_t{1} << shift) - 1) / 2);
}

void Histogram::Merge(const Histogram& other) {
  Raise(other.max());
  Add(sum_, other.sum(), std::memory_order_relaxed);
  for (size_t i = 0; i < kBuckets; ++i) {
    Add(Bucket(i), other.Bucket(i).load(std::memory_order_acquire),
        std::memory_order_release);
  }
}

uint64_t Histogram::count() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    sum += Bucket(i).load(std::memory_order_acquire);
  }
  return sum;
}

uint64_t Histogram::Quantile(double q) const {
  const uint64_t all = count();
  if (all == 0) return 0;
  const auto wanted =
      std::max(static_cast<uint64_t>(std::ceil(q * static_cast<double>(all))),
               uint64_t{1});
  if (wanted >= all) return max();  // exact, unlike a bucket
  // Buckets only grow, so the sum reaches `wanted` even if the recording thread
  // adds values meanwhile.
  uint64_t sum = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    sum += Bucket(i).load(std::memory_order_acquire);
    if (sum >= wanted) return std::min(MiddleOf(i), max());
  }
  return max();
}

}  // namespace coalesce
