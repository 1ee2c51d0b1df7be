// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_CHAIN_IO_H_
#define VDUSE_NET_VDUSE_CHAIN_IO_H_

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "absl/base/attributes.h"
#include "vduse/chain.h"

namespace vduse {

// Walks segments from front to back. Each byte is visited once, because the
// driver may change its memory at any time.
class SegmentCursor {
 public:
  explicit SegmentCursor(std::span<const iovec> segments)
      : segments_(segments) {}

  // Calls `use` with the address and size of each piece of the next `bytes`
  // bytes. Returns how many bytes there were.
  template <typename Use>
  size_t Advance(size_t bytes, Use use) {
    // Usually all of them are in the first segment. This case is inlined, and
    // copies a number of bytes that the compiler may know.
    if (!segments_.empty() && bytes > 0 &&
        bytes <= segments_.front().iov_len - offset_) {
      use(static_cast<uint8_t*>(segments_.front().iov_base) + offset_, bytes);
      offset_ += bytes;
      return bytes;
    }
    return AdvanceOver(bytes, use);
  }

  size_t Skip(size_t bytes) {
    return Advance(bytes, [](const uint8_t*, size_t) {});
  }

  // Copies the next bytes to `to`, and returns their number.
  size_t Read(std::span<uint8_t> to) {
    uint8_t* next = to.data();
    return Advance(to.size(), [&](const uint8_t* from, size_t bytes) {
      std::memcpy(next, from, bytes);
      next += bytes;
    });
  }

  // Copies `from` over the next bytes, as far as it fits, and returns the
  // number of bytes copied.
  size_t Write(std::span<const uint8_t> from) {
    const uint8_t* next = from.data();
    return Advance(from.size(), [&](uint8_t* to, size_t bytes) {
      std::memcpy(to, next, bytes);
      next += bytes;
    });
  }

 private:
  // Several segments, or the end.
  template <typename Use>
  ABSL_ATTRIBUTE_NOINLINE size_t AdvanceOver(size_t bytes, Use& use) {
    size_t left = bytes;
    while (left > 0 && !segments_.empty()) {
      const iovec& segment = segments_.front();
      const size_t n = std::min(left, segment.iov_len - offset_);
      if (n > 0) use(static_cast<uint8_t*>(segment.iov_base) + offset_, n);
      left -= n;
      offset_ += n;
      if (offset_ == segment.iov_len) {
        segments_ = segments_.subspan(1);
        offset_ = 0;
      }
    }
    return bytes - left;
  }

  std::span<const iovec> segments_;
  size_t offset_ = 0;  // within the first of segments_
};

// Reads what the driver has put in a chain, in whatever segments it did. The
// chain must outlive the reader.
class ChainReader {
 public:
  explicit ChainReader(const Chain& chain)
      : cursor_(chain.readable()), left_(chain.readable_bytes()) {}

  uint64_t left() const { return left_; }

  // The next bytes, or zeros after the end. Both sides are little-endian (see
  // CMakeLists.txt).
  template <typename T>
  T Take() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    left_ -= cursor_.Read({reinterpret_cast<uint8_t*>(&value), sizeof(T)});
    return value;
  }

  void Skip(uint64_t bytes) { left_ -= cursor_.Skip(bytes); }

  // Calls `use` with the address and size of each piece that is left.
  template <typename Use>
  void Rest(Use use) {
    left_ -= cursor_.Advance(left_, use);
  }

 private:
  SegmentCursor cursor_;
  uint64_t left_;
};

// Writes to the part of a chain that the device may write. What does not fit is
// left out. The chain must outlive the writer.
class ChainWriter {
 public:
  explicit ChainWriter(const Chain& chain) : cursor_(chain.writable()) {}

  void Skip(uint64_t bytes) { cursor_.Skip(bytes); }
  void Write(std::span<const uint8_t> bytes) { cursor_.Write(bytes); }

 private:
  SegmentCursor cursor_;
};

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_CHAIN_IO_H_
