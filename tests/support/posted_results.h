// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SUPPORT_POSTED_RESULTS_H_
#define VDUSE_NET_TESTS_SUPPORT_POSTED_RESULTS_H_

#include <liburing.h>

#include <cstdint>
#include <cstring>

#include "net/path/packet_port.h"
#include "net/path/uring_memory.h"

namespace tests {

// Posts results as the kernel does for an io_uring instance whose memory is in
// a journal.
class PostedResults {
 public:
  // `count` is that of the results so far, and outlives this.
  PostedResults(const net::UringMemory& memory, uint32_t& count)
      : entries_(memory.rings + kOffset), count_(count) {
    *memory.completions = kOffset;
  }

  // The result of packet `index` of a call.
  void Post(const net::Io& packet, size_t index) {
    const net::IoResult& result = packet.result;
    const io_uring_cqe entry = {.user_data = packet.tag | index,
                                .res = result.error != 0
                                           ? -result.error
                                           : static_cast<int32_t>(result.bytes),
                                .flags = 0};
    std::memcpy(entries_ + count_++ % net::kCompletions * sizeof(entry), &entry,
                sizeof(entry));
  }

 private:
  static constexpr uint32_t kOffset = 1024;

  uint8_t* entries_;
  uint32_t& count_;
};

}  // namespace tests

#endif  // VDUSE_NET_TESTS_SUPPORT_POSTED_RESULTS_H_
