// SPDX-License-Identifier: Apache-2.0
#ifndef VDUSE_NET_TESTS_SIM_WIRE_H_
#define VDUSE_NET_TESTS_SIM_WIRE_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "net/path/packet_port.h"
#include "net/path/uring_memory.h"
#include "tests/sim/world.h"
#include "tests/support/posted_results.h"

namespace sim {

// What a crash may cost, for each queue pair: docs/architecture.md, "After a
// crash".
struct CrashCost {
  uint64_t lost_rx;
  uint64_t repeated_tx;
};
inline constexpr CrashCost kSyscallsCrashCost{.lost_rx = 8, .repeated_tx = 8};
inline constexpr CrashCost kUringCrashCost{.lost_rx = 0, .repeated_tx = 0};
// Packets that were read and wait for the driver's buffers.
inline constexpr uint64_t kMostStaged = net::kMaxBatch;

// The network behind the port of a queue pair. Packets are numbered in each
// direction, so that the wire sees which ones are lost, repeated or out of
// order. Each loss needs a reason.
//
// A packet is a virtio-net header, an Ethernet header, the number, and bytes
// that follow from the number.
class Wire {
 public:
  static constexpr size_t kNumberAt = 12 + 14;
  static constexpr size_t kLeastBytes = kNumberAt + 8;

  struct Options {
    size_t at_once = 8;  // packets in one call
    CrashCost crash_cost = kSyscallsCrashCost;
    size_t largest_packet = 12 + 1514;
  };

  Wire(World& world, uint32_t pair, const Options& options)
      : world_(world), pair_(pair), options_(options) {}

  // Packet `number` in `bytes` bytes, and whether `packet` is that.
  static void Write(uint64_t number, bool foreign, std::span<uint8_t> packet);
  static bool Check(uint64_t number, std::span<const uint8_t> packet);
  static uint64_t NumberOf(std::span<const uint8_t> packet);

  // --- To the driver ---

  // A packet arrives from the network. It is `foreign` if the driver gets it
  // only in promiscuous mode.
  void Arrive(bool foreign);
  size_t queued() const { return queued_.size(); }
  // The driver has got a packet.
  void Received(std::span<const uint8_t> packet);
  // Whether the driver gets foreign packets from now on. `certain` is false
  // between a command and its answer.
  void SetPromiscuous(bool on, bool certain);
  // What has arrived so far, and arrives within `more`, may be dropped: the
  // driver is a new one, or did not use the pair.
  void Forgive(Duration more = {});
  // A reset or a suspend drops what waits for the driver's buffers.
  void DropStaged();
  // Every packet that has arrived should be with the driver by now.
  void CheckDelivered();

  // --- From the driver ---

  // The driver has got packet `number` back.
  void Returned(uint64_t number);
  // A reset has dropped packets that the driver had offered.
  void Skip() { any_gap_ = true; }

  // --- The port ---

  // How often a call fails, and how: one packet in `one_in`; 0: never.
  void SetTrouble(uint64_t one_in) { trouble_ = one_in; }
  // The port takes nothing for a while.
  void Block(Duration length);
  bool readable() const { return gone_ || !queued_.empty(); }
  bool writable() const { return gone_ || world_.now() >= blocked_until_; }
  std::optional<Instant> deadline() const;
  // The interface is deleted, or there is a new one.
  void SetGone(bool gone);
  bool gone() const { return gone_; }

  // A process serves the port from now on, because the last one is dead.
  void BeginProcess();

  uint64_t delivered() const { return delivered_; }
  uint64_t transmitted() const { return next_tx_; }

 private:
  friend class WirePort;

  struct Inbound {
    uint64_t number = 0;
    size_t bytes = 0;
    bool foreign = false;
    // Since it arrived, foreign packets were wanted or unwanted at some time.
    bool wanted = false;
    bool unwanted = false;
    bool forgiven = false;
    size_t epoch = 0;  // in which it was read
    Instant read_at{};
    bool damaged = false;  // the port says that it lost it
  };
  // Packets that were read before a crash, or before a reset, may be lost: up
  // to a limit.
  struct Epoch {
    uint64_t limit = 0;
    uint64_t lost = 0;
  };
  struct Refused {
    uint64_t number = UINT64_MAX;
    Instant first{};  // when the port said EAGAIN first
    bool dropped = false;
  };

  net::IoResult ReadOne(std::span<const iovec> to);
  net::IoResult WriteOne(std::span<const iovec> from);
  void Transmitted(uint64_t number);
  Refused& RefusedAt(uint64_t number);
  bool MayBeMissing(uint64_t number);
  void CheckLost(const Inbound& packet);
  void EndEpoch(uint64_t limit);
  void NoteMode(Inbound& packet) const;

  World& world_;
  const uint32_t pair_;
  const Options options_;

  std::deque<Inbound> queued_;      // in the port
  std::deque<Inbound> on_its_way_;  // read, and not with the driver
  uint64_t next_rx_ = 0;
  uint64_t delivered_ = 0;
  bool wants_foreign_ = false;
  bool mode_certain_ = true;
  Instant forgiven_until_{};
  std::vector<Epoch> epochs_{1};

  uint64_t next_tx_ = 0;   // the highest number that was seen, plus 1
  uint64_t returned_ = 0;  // of chains with a packet
  // The next number that this process may send, once it has sent one.
  std::optional<uint64_t> process_next_;
  bool any_gap_ = false;  // packets for a port that is gone are dropped
  std::array<Refused, 1024> refused_{};
  std::vector<uint64_t> refused_in_call_;  // of the port

  uint64_t trouble_ = 0;
  Instant blocked_until_{};
  bool gone_ = false;
};

// What the device reads from and writes to: by one system call for each packet,
// or, with memory for the results, by an io_uring instance.
class WirePort final : public net::PacketPort {
 public:
  WirePort(Wire& wire, std::optional<net::UringMemory> memory) : wire_(wire) {
    if (memory) results_.emplace(*memory, results_posted_);
  }

  size_t at_once(size_t packets) const override;
  void Read(std::span<net::Io> packets) override;
  void Write(std::span<net::Io> packets) override;

 private:
  void Transfer(std::span<net::Io> packets,
                absl::FunctionRef<net::IoResult(net::Io&)> one);

  Wire& wire_;
  uint32_t results_posted_ = 0;
  std::optional<tests::PostedResults> results_;
};

}  // namespace sim

#endif  // VDUSE_NET_TESTS_SIM_WIRE_H_
