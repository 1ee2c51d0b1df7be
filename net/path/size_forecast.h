// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_SIZE_FORECAST_H_
#define VDUSE_NET_NET_PATH_SIZE_FORECAST_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace net {

// Predicts the size of the next packet from those before it. Large packets come
// in runs. Offering a large packet too few buffers costs a copy; offering a
// small packet far too many costs time, too.
//
// After a large packet, the next one is expected to have the usual size, or the
// largest of all if the packet was larger than usual. After kSmallInARow small
// packets in a row, the largest of these is expected.
class SizeForecast {
 public:
  // After this many small packets in a row, no large packet is expected any
  // more.
  static constexpr uint32_t kSmallInARow = 8;

  struct Sizes {
    size_t small;    // the largest small packet
    size_t usual;    // a packet of the MTU
    size_t largest;  // any packet
  };

  explicit SizeForecast(const Sizes& sizes)
      : sizes_(sizes), expected_(std::min(sizes.usual, sizes.small)) {}

  size_t expected() const { return expected_; }
  bool expects_small() const { return expected_ <= sizes_.small; }

  // A packet of `bytes` has come.
  void Note(size_t bytes) {
    if (bytes > sizes_.small) {
      expected_ = bytes > sizes_.usual ? sizes_.largest : sizes_.usual;
      largest_in_a_row_ = 0;
      in_a_row_ = 0;
      return;
    }
    largest_in_a_row_ = std::max(largest_in_a_row_, bytes);
    if (++in_a_row_ < kSmallInARow) {
      // A small packet among large ones predicts nothing.
      if (expects_small()) expected_ = std::max(expected_, bytes);
      return;
    }
    expected_ = std::exchange(largest_in_a_row_, 0);
    in_a_row_ = 0;
  }

 private:
  const Sizes sizes_;
  size_t expected_;
  size_t largest_in_a_row_ = 0;
  uint32_t in_a_row_ = 0;  // small packets
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_SIZE_FORECAST_H_
