// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_IO_H_
#define VDUSE_NET_NET_PATH_IO_H_

#include <sys/uio.h>

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

// Where packets come from and go to, each behind a VirtioNetHeader. A call is
// for a batch and never blocks. One thread.
class PacketPort {
 public:
  virtual ~PacketPort() = default;

  // How many of `packets` a call should have.
  virtual size_t at_once(size_t packets) const = 0;

  // Read or write packets in order and fill in their results: all is done when
  // they return. A later packet may succeed where an earlier one got EAGAIN.
  virtual void Read(std::span<Io> packets) = 0;
  virtual void Write(std::span<Io> packets) = 0;

 protected:
  PacketPort() = default;
  PacketPort(PacketPort&&) = default;
  PacketPort& operator=(PacketPort&&) = default;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_IO_H_
