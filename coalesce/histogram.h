// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_COALESCE_HISTOGRAM_H_
#define VDUSE_NET_COALESCE_HISTOGRAM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace coalesce {

// A log-linear histogram of 64-bit values. Every power of 2 is divided into 16
// buckets, so that a value read back is off by at most 1/32 of itself; values
// below 32 are exact.
//
// Takes 8 KiB, however much is recorded; recording allocates nothing. One
// thread records; any thread may read at the same time. Each value that is read
// (count, sum, maximum) was correct at some moment, and includes everything
// that an earlier read of it included. Values that are read one after the other
// may be of different moments.
class Histogram {
  static constexpr unsigned kBits = 4;  // a power of 2 has 2^kBits buckets

 public:
  static constexpr size_t kBuckets = (64 - kBits + 1) << kBits;

  // Allocates the buckets.
  Histogram() : own_(new uint64_t[kBuckets]()), buckets_(own_.get()) {}
  // Uses `buckets`, which are 0 and outlive the histogram.
  explicit Histogram(std::span<uint64_t, kBuckets> buckets)
      : buckets_(buckets.data()) {}

  // Costs a few stores: no lock, no locked instruction.
  void Record(uint64_t value) {
    // Maximum and sum must include a value before its bucket shows it.
    Raise(value);
    Add(sum_, value, std::memory_order_relaxed);
    Add(Bucket(BucketOf(value)), 1, std::memory_order_release);
  }

  // Records all that `other` has. Call it on the thread that records here.
  void Merge(const Histogram& other);

  uint64_t count() const;
  // Modulo 2^64.
  uint64_t sum() const { return sum_.load(std::memory_order_relaxed); }
  uint64_t max() const { return max_.load(std::memory_order_relaxed); }

  // Returns the q-quantile, 0 <= q <= 1: the smallest value v such that at
  // least a share q of the recorded values is <= v, as exact as the buckets.
  // Returns 0 if nothing was recorded.
  uint64_t Quantile(double q) const;

 private:
  static size_t BucketOf(uint64_t value);
  static uint64_t MiddleOf(size_t bucket);
  // Adds to a word that no other thread writes.
  template <typename Word>
  static void Add(Word&& word, uint64_t more, std::memory_order order) {
    word.store(word.load(std::memory_order_relaxed) + more, order);
  }
  void Raise(uint64_t value) {
    if (value > max()) max_.store(value, std::memory_order_relaxed);
  }
  std::atomic_ref<uint64_t> Bucket(size_t index) const {
    return std::atomic_ref<uint64_t>(buckets_[index]);
  }

  std::unique_ptr<uint64_t[]> own_;
  uint64_t* buckets_;
  std::atomic<uint64_t> sum_{};
  std::atomic<uint64_t> max_{};
};

}  // namespace coalesce

#endif  // VDUSE_NET_COALESCE_HISTOGRAM_H_
