// SPDX-License-Identifier: Apache-2.0
#include "coalesce/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

namespace coalesce {
namespace {

static_assert(Histogram::kBuckets * sizeof(uint64_t) <= 8192);

// The largest permitted error of a value that is read back.
uint64_t Tolerance(uint64_t value) { return value / 32; }

void ExpectNear(uint64_t got, uint64_t value) {
  EXPECT_LE(got, value + std::min(Tolerance(value), UINT64_MAX - value));
  EXPECT_GE(got, value - Tolerance(value));
}

TEST(HistogramTest, AnEmptyOneSaysNothing) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.sum(), 0U);
  EXPECT_EQ(histogram.max(), 0U);
  EXPECT_EQ(histogram.Quantile(0.5), 0U);
}

TEST(HistogramTest, SmallValuesAreExact) {
  for (uint64_t value = 0; value < 32; ++value) {
    Histogram histogram;
    histogram.Record(value);
    histogram.Record(1000);
    EXPECT_EQ(histogram.Quantile(0.5), value);
  }
}

TEST(HistogramTest, AnyValueIsOffByA32ndAtMost) {
  std::vector<uint64_t> values = {UINT64_MAX};
  std::mt19937_64 random(1);
  for (unsigned bit = 0; bit < 64; ++bit) {
    const uint64_t power = uint64_t{1} << bit;
    values.insert(values.end(), {power - 1, power, power + 1});
    for (int i = 0; i < 200; ++i) values.push_back(power + random() % power);
  }
  for (const uint64_t value : values) {
    Histogram histogram;
    histogram.Record(value);
    histogram.Record(UINT64_MAX);  // otherwise the exact maximum is returned
    ExpectNear(histogram.Quantile(0.5), value);
    EXPECT_EQ(histogram.Quantile(0), histogram.Quantile(0.5));
  }
}

TEST(HistogramTest, QuantilesAreThoseOfTheSortedValues) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 50; ++round) {
    Histogram histogram;
    std::vector<uint64_t> values(1 + random() % 2000);
    uint64_t sum = 0;
    for (uint64_t& value : values) {
      value = random() >> (random() % 64);
      sum += value;
      histogram.Record(value);
    }
    std::ranges::sort(values);
    EXPECT_EQ(histogram.count(), values.size());
    EXPECT_EQ(histogram.sum(), sum);
    EXPECT_EQ(histogram.max(), values.back());
    EXPECT_EQ(histogram.Quantile(1), values.back());
    for (const double q : {0.01, 0.25, 0.5, 0.9, 0.99, 0.999}) {
      const auto rank = static_cast<size_t>(
          std::ceil(q * static_cast<double>(values.size())));
      ExpectNear(histogram.Quantile(q), values[rank - 1]);
    }
  }
}

TEST(HistogramTest, MergedIsRecordedTogether) {
  std::mt19937_64 random(3);
  Histogram all;
  Histogram merged;
  for (int part = 0; part < 3; ++part) {
    Histogram one;
    for (int i = 0; i < 1000; ++i) {
      const uint64_t value = random() >> (random() % 64);
      all.Record(value);
      one.Record(value);
    }
    merged.Merge(one);
  }
  EXPECT_EQ(merged.count(), 3000U);
  EXPECT_EQ(merged.sum(), all.sum());
  EXPECT_EQ(merged.max(), all.max());
  for (int i = 0; i <= 100; ++i) {
    EXPECT_EQ(merged.Quantile(i / 100.0), all.Quantile(i / 100.0));
  }
}

TEST(HistogramTest, ItIsReadWhileItIsWritten) {
  constexpr uint64_t kValues = 200'000;
  Histogram histogram;
  std::atomic<bool> reading = false;
  std::thread writer([&] {
    while (!reading) std::this_thread::yield();
    for (uint64_t i = 1; i <= kValues; ++i) histogram.Record(i);
  });
  uint64_t seen = 0;
  uint64_t largest = 0;
  while (seen < kValues) {
    const uint64_t count = histogram.count();
    const uint64_t median = histogram.Quantile(0.5);
    const uint64_t max = histogram.max();
    ASSERT_GE(count, seen);
    ASSERT_GE(max, count) << "a value is there, and the largest is not";
    ASSERT_GE(max, largest);
    ASSERT_LE(median, max);
    ASSERT_GE(median + Tolerance(median) + 1, count / 2);
    seen = count;
    largest = max;
    reading = true;
  }
  writer.join();
  EXPECT_EQ(histogram.sum(), kValues * (kValues + 1) / 2);
  EXPECT_EQ(histogram.max(), kValues);
}

}  // namespace
}  // namespace coalesce
