// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_NET_PATH_PACKET_PORT_H_
#define VDUSE_NET_NET_PATH_PACKET_PORT_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace net {

// The outcome of reading or writing one packet.
struct IoResult {
  size_t bytes = 0;
  int error = 0;  // errno, 0 on success
};

// One packet to be read or written: its memory, and the outcome.
struct Io {
  std::span<const iovec> segments;
  // Names the packet in the journal (see PairJournal). The lowest byte is 0,
  // and the port may use it.
  uint64_t tag = 0;
  IoResult result = {};
};

// The most packets that one call may have.
inline constexpr size_t kMaxBatch = 32;

// A source and sink of packets, each preceded by a VirtioNetHeader. Calls take
// a batch and never block. One thread.
class PacketPort {
 public:
  virtual ~PacketPort() = default;

  // How many of `packets` one call should take.
  virtual size_t at_once(size_t packets) const = 0;

  // Read or write `packets` in order and fill in their results. All transfers
  // are complete on return. A later packet may succeed although an earlier one
  // got EAGAIN.
  virtual void Read(std::span<Io> packets) = 0;
  virtual void Write(std::span<Io> packets) = 0;

 protected:
  PacketPort() = default;
  PacketPort(PacketPort&&) = default;
  PacketPort& operator=(PacketPort&&) = default;
};

// The port of a queue pair, which may be missing or lost for good.
class PortSlot {
 public:
  void Set(std::unique_ptr<PacketPort> port) {
    port_ = std::move(port);
    lost_ = false;
  }
  void Drop() { port_.reset(); }

  // The port is gone for good, because its interface was deleted. It is not
  // used any more, and is closed only by Set() or Drop().
  void Lose() { lost_ = port_ != nullptr; }

  bool present() const { return port_ != nullptr; }
  bool lost() const { return lost_; }
  bool usable() const { return port_ != nullptr && !lost_; }

  PacketPort* operator->() const { return port_.get(); }

 private:
  std::unique_ptr<PacketPort> port_;
  bool lost_ = false;
};

}  // namespace net

#endif  // VDUSE_NET_NET_PATH_PACKET_PORT_H_
