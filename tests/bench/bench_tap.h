// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_BENCH_BENCH_TAP_H_
#define VDUSE_NET_TESTS_BENCH_BENCH_TAP_H_

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace bench {

// Enters a network namespace of its own, with a user namespace around it where
// that takes one. Before there are threads. Ends the program if it cannot.
void EnterNamespace();

// What is sent and received: a frame of so many bytes, behind its virtio-net
// header. Up to 1518 a UDP packet, beyond that TCP to be segmented. It goes to
// no address of the TAP's, so that the stack drops it first thing. Its source
// port is `flow`.
std::vector<uint8_t> MakePacket(size_t frame_bytes, uint16_t flow);

// A TAP interface that is up, with one or more queues.
class BenchTap {
 public:
  BenchTap(const std::string& name, size_t queues);

  // A queue's descriptor, non-blocking; the caller's from now on.
  base::UniqueFd TakeQueue(size_t index) { return std::move(queues_[index]); }

  // Sends `count` packets out of the interface, of so many bytes each: they
  // wait in its queues, as far as these have room. Spread over the queues by
  // flow.
  void Fill(size_t frame_bytes, size_t count);

 private:
  void Prepare(size_t frame_bytes);

  std::vector<base::UniqueFd> queues_;
  base::UniqueFd sender_;

  // What is sent, a message for each flow.
  size_t prepared_bytes_ = 0;
  std::vector<std::vector<uint8_t>> packets_;
  std::vector<iovec> iov_;
  std::vector<mmsghdr> messages_;
};

}  // namespace bench

#endif  // VDUSE_NET_TESTS_BENCH_BENCH_TAP_H_
