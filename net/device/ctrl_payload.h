// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_DEVICE_CTRL_PAYLOAD_H_
#define VDUSE_NET_NET_DEVICE_CTRL_PAYLOAD_H_

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "vduse/chain.h"

namespace net {

// A command's payload, in whatever segments the driver has sent it. It is read
// from front to back, and each byte only once, because the driver may change it
// meanwhile.
class CtrlPayload {
 public:
  explicit CtrlPayload(const vduse::Chain& chain)
      : segments_(chain.readable()), left_(chain.readable_bytes()) {}

  uint64_t left() const { return left_; }

  // The next bytes, or zeros after the end. Both sides are little-endian (see
  // CMakeLists.txt).
  template <typename T>
  T Take() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    auto* to = reinterpret_cast<uint8_t*>(&value);
    Advance(sizeof(T), [&](const uint8_t* from, size_t bytes) {
      std::memcpy(to, from, bytes);
      to += bytes;
    });
    return value;
  }

  void Skip(uint64_t bytes) {
    Advance(bytes, [](const uint8_t*, size_t) {});
  }

 private:
  template <typename Use>
  void Advance(uint64_t bytes, Use use) {
    bytes = std::min(bytes, left_);
    left_ -= bytes;
    while (bytes > 0) {
      const iovec& segment = segments_.front();
      const size_t n = std::min<uint64_t>(bytes, segment.iov_len - offset_);
      use(static_cast<const uint8_t*>(segment.iov_base) + offset_, n);
      bytes -= n;
      offset_ += n;
      if (offset_ == segment.iov_len) {
        segments_ = segments_.subspan(1);
        offset_ = 0;
      }
    }
  }

  std::span<const iovec> segments_;
  size_t offset_ = 0;  // within the first of segments_
  uint64_t left_;
};

}  // namespace net

#endif  // VDUSE_NET_NET_DEVICE_CTRL_PAYLOAD_H_
