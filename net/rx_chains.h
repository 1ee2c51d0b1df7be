// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_RX_CHAINS_H_
#define VDUSE_NET_NET_RX_CHAINS_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "net/header.h"
#include "net/notified_queue.h"
#include "vduse/chain.h"

namespace net {

// The receive buffers for one packet: chains popped and not yet returned,
// seen as one run of writable bytes (virtio 1.3, 5.1.6.4).
//
// All are returned by Commit() or GiveBack() within the step.
class RxChains {
 public:
  // A buffer must hold a header and the start of a frame.
  static constexpr uint64_t kMinChainBytes =
      kHeaderBytes + kEthernetHeaderBytes;

  explicit RxChains(NotifiedQueue& queue) : queue_(queue) {
    chains_.reserve(queue.ring().size());
  }
  RxChains(const RxChains&) = delete;
  RxChains& operator=(const RxChains&) = delete;

  // Pops until `bytes` fit, at most `limit` chains. False if the driver has
  // not offered enough. Chains that cannot be used are returned with length
  // 0 on the way, and with them the ones before, since order is kept.
  [[nodiscard]] bool Collect(uint64_t bytes, size_t limit, Time now);

  uint64_t bytes() const { return bytes_; }
  size_t size() const { return chains_.size(); }
  uint64_t rejected() const { return rejected_; }

  // Appends the segments behind the first `skip` bytes to `iov`.
  void AppendSegments(uint64_t skip, std::vector<iovec>& iov) const;

  // Copies `data` to `offset`. It must fit.
  void Write(uint64_t offset, std::span<const uint8_t> data) const;

  // Copies what is at `offset` to `data`. It must be there.
  void Read(uint64_t offset, std::span<uint8_t> data) const;

  // Chains that a packet of `bytes` occupies.
  uint16_t ChainsFor(uint64_t bytes) const;

  // Returns the chains that hold the first `bytes` as one packet, gives the
  // others back.
  void Commit(uint64_t bytes, Time now);

  // Returns all with length 0.
  void RejectAll(Time now);

  // The driver keeps them: the next Collect() finds them again.
  void GiveBack();

 private:
  void Reject(vduse::Chain chain, Time now);
  template <typename Copy>
  void ForBytes(uint64_t offset, size_t bytes, Copy copy) const;

  NotifiedQueue& queue_;
  std::vector<vduse::Chain> chains_;
  uint64_t bytes_ = 0;
  uint64_t rejected_ = 0;
};

}  // namespace net

#endif  // VDUSE_NET_NET_RX_CHAINS_H_
