// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_VDUSE_CHAIN_H_
#define VDUSE_NET_VDUSE_CHAIN_H_

#include <sys/uio.h>

#include <array>
#include <cassert>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace vduse {

// Why a descriptor chain cannot be used.
enum class ChainError : uint8_t {
  kNone,
  kDescriptorIndex,  // `next` beyond the table
  kTooLong,          // a loop, or more descriptors than allowed
  kIndirect,         // not negotiated, nested, or of an invalid length
  kAddress,          // not mapped, no access, or wraps
  kOrder,            // a readable descriptor after a writable one
  kLength,           // 4 GiB or more in total
  kTooManySegments,  // more than one readv or writev takes
};
inline constexpr size_t kChainErrors = 8;

// Numbers of chains, indexed by ChainError.
using ChainErrors = std::array<uint64_t, kChainErrors>;

inline void AddErrors(ChainErrors& to, const ChainErrors& more) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += more[i];
}

// A short name of an error, for logs and counters.
inline std::string_view ChainErrorName(ChainError error) {
  constexpr std::array<std::string_view, kChainErrors> kNames = {
      "none",  "descriptor-index", "too-long",         "indirect", "address",
      "order", "length",           "too-many-segments"};
  return kNames[static_cast<size_t>(error)];
}

// A descriptor chain taken from a virtqueue, as pointers: first the parts that
// the device may read, then the parts that it may write.
//
// Each chain stands for one used entry that the device owes the driver. Call
// Virtqueue::Push or Unpop exactly once for it, within the step that popped it.
class Chain {
 public:
  // An empty chain, for Virtqueue::Pop to fill.
  Chain() = default;
  Chain(Chain&& other) noexcept { *this = std::move(other); }
  Chain& operator=(Chain&& other) noexcept {
    assert(!owed_);
    id_ = other.id_;
    slots_ = other.slots_;
    error_ = other.error_;
    readable_ = other.readable_;
    writable_ = other.writable_;
    readable_bytes_ = other.readable_bytes_;
    writable_bytes_ = other.writable_bytes_;
    owed_ = std::exchange(other.owed_, false);
    return *this;
  }
  ~Chain() { assert(!owed_); }

  // A malformed chain has no segments. Push it with length 0: the driver gets
  // it back, and its packet or buffer is dropped.
  bool malformed() const { return error_ != ChainError::kNone; }
  ChainError error() const { return error_; }

  std::span<const iovec> readable() const { return readable_; }
  std::span<const iovec> writable() const { return writable_; }
  uint64_t readable_bytes() const { return readable_bytes_; }
  uint64_t writable_bytes() const { return writable_bytes_; }

  // How many descriptors of the ring itself the chain takes. An indirect table
  // counts as one.
  uint32_t slots() const { return slots_; }

 private:
  friend class Virtqueue;

  std::span<const iovec> readable_;
  std::span<const iovec> writable_;
  uint64_t readable_bytes_ = 0;
  uint64_t writable_bytes_ = 0;
  uint32_t slots_ = 0;
  uint16_t id_ = 0;  // tells the driver which chain is returned
  ChainError error_ = ChainError::kNone;
  bool owed_ = false;
};

}  // namespace vduse

#endif  // VDUSE_NET_VDUSE_CHAIN_H_
