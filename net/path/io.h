// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_IO_H_
#define VDUSE_NET_NET_PATH_IO_H_

#include <sys/uio.h>

#include <concepts>
#include <cstddef>
#include <span>

namespace net {

// Outcome of one packet read or written.
struct IoResult {
  size_t bytes = 0;
  int error = 0;  // errno, 0 on success
};

// One packet to be read or written: where to, and what became of it.
struct Io {
  std::span<const iovec> segments;
  IoResult result = {};
};

// The most packets of one call.
inline constexpr size_t kMaxBatch = 32;

// Where packets come from and go to, each behind a VirtioNetHeader. Never
// blocks. Read() and Write() take packets in order and fill in their results;
// all is done when they return. A later one may succeed where an earlier one
// gave EAGAIN. at_once() is how many of `packets` a call is to have.
template <typename T>
concept PacketPort = requires(T port, std::span<Io> packets) {
  { port.at_once(packets.size()) } -> std::same_as<size_t>;
  port.Read(packets);
  port.Write(packets);
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_IO_H_
