// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_FUZZ_INPUT_H_
#define VDUSE_NET_TESTS_FUZZ_INPUT_H_

#include <cstddef>
#include <cstdint>

namespace tests {

// A fuzzer's bytes, taken one after the other; zeros once they are used up.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  uint8_t Byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  uint16_t Word() {
    const unsigned low = Byte();
    return static_cast<uint16_t>(low | unsigned{Byte()} << 8);
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

}  // namespace tests

#endif  // VDUSE_NET_TESTS_FUZZ_INPUT_H_
