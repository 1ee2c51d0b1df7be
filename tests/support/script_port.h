// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SUPPORT_SCRIPT_PORT_H_
#define VDUSE_NET_TESTS_SUPPORT_SCRIPT_PORT_H_

#include <errno.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <span>
#include <vector>

#include "net/path/packet_port.h"

namespace tests {

// What a ScriptPort reads and what it was given to write. Owned by the test; it
// must outlive the port.
struct PortScript {
  struct Read {
    std::vector<uint8_t> bytes;  // header and frame
    int error = 0;
  };

  size_t at_once = 1;                 // largest number of packets per call
  std::vector<size_t> read_batches;   // packets of each Read()
  std::vector<size_t> write_batches;  // packets of each Write()

  std::deque<Read> reads;  // results in order; EAGAIN when none is left
  uint64_t read_calls = 0;
  std::function<void()> on_read;  // called first, for each packet

  std::deque<int> write_errors;  // of the next writes; then `write_error`
  int write_error = 0;
  uint64_t write_calls = 0;
  std::vector<std::vector<uint8_t>> written;  // headers and frames
  std::function<void()> on_write;             // called first, for each packet

  void Receive(std::vector<uint8_t> packet) {
    reads.push_back({.bytes = std::move(packet)});
  }
};

// A port that plays a script. Like a TAP, it returns whole packets and
// truncates those that do not fit.
class ScriptPort final : public net::PacketPort {
 public:
  explicit ScriptPort(PortScript& script) : script_(&script) {}

  size_t at_once(size_t packets) const override {
    return std::min(packets, script_->at_once);
  }
  void Read(std::span<net::Io> packets) override {
    script_->read_batches.push_back(packets.size());
    for (net::Io& packet : packets) packet.result = ReadOne(packet.segments);
  }
  void Write(std::span<net::Io> packets) override {
    script_->write_batches.push_back(packets.size());
    for (net::Io& packet : packets) packet.result = WriteOne(packet.segments);
  }

 private:
  net::IoResult ReadOne(std::span<const iovec> to) {
    ++script_->read_calls;
    if (script_->on_read) script_->on_read();
    if (script_->reads.empty()) return {.error = EAGAIN};
    const PortScript::Read read = std::move(script_->reads.front());
    script_->reads.pop_front();
    if (read.error != 0) return {.error = read.error};
    size_t done = 0;
    for (const iovec& part : to) {
      const size_t n = std::min(part.iov_len, read.bytes.size() - done);
      if (n > 0) std::memcpy(part.iov_base, read.bytes.data() + done, n);
      done += n;
    }
    return {.bytes = done};
  }

  net::IoResult WriteOne(std::span<const iovec> from) {
    ++script_->write_calls;
    if (script_->on_write) script_->on_write();
    int error = script_->write_error;
    if (!script_->write_errors.empty()) {
      error = script_->write_errors.front();
      script_->write_errors.pop_front();
    }
    if (error != 0) return {.error = error};
    std::vector<uint8_t> packet;
    for (const iovec& part : from) {
      const auto* data = static_cast<const uint8_t*>(part.iov_base);
      packet.insert(packet.end(), data, data + part.iov_len);
    }
    script_->written.push_back(packet);
    return {.bytes = packet.size()};
  }

  PortScript* script_;
};

}  // namespace tests

#endif  // VDUSE_NET_TESTS_SUPPORT_SCRIPT_PORT_H_
