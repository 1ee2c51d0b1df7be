// SPDX-License-Identifier: Apache-2.0
//
// A queue pair whose packets, rings and journal outlive it: what a successor
// finds after its predecessor was killed.
#ifndef VDUSE_NET_TESTS_NET_PATH_CRASH_WORLD_H_
#define VDUSE_NET_TESTS_NET_PATH_CRASH_WORLD_H_

#include <errno.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "net/path/queue_pair.h"
#include "net/wire/features.h"
#include "tests/support/fake_device.h"
#include "tests/support/fake_driver.h"
#include "tests/support/instant.h"
#include "tests/support/must.h"
#include "tests/support/posted_results.h"

namespace net {

using Bytes = std::vector<uint8_t>;
using vduse::Virtqueue;

// Zeroed memory that a child shares with its parent.
class SharedMemory {
 public:
  explicit SharedMemory(size_t bytes)
      : bytes_(bytes),
        data_(static_cast<uint8_t*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                         MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    tests::Must(data_ != MAP_FAILED, "mmap");
  }
  ~SharedMemory() { munmap(data_, bytes_); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  std::span<uint8_t> span() const { return {data_, bytes_}; }
  template <typename T>
  T& as() const {
    return *reinterpret_cast<T*>(data_);
  }

 private:
  size_t bytes_;
  uint8_t* data_;
};

// Packet `id` of a scenario, with a header.
inline Bytes NumberedPacket(uint32_t id, size_t frame_bytes) {
  Bytes packet(kHeaderBytes + frame_bytes);
  for (size_t i = kHeaderBytes; i < packet.size(); ++i) {
    packet[i] = static_cast<uint8_t>(id + i * 7 + i / 256);
  }
  std::memcpy(packet.data() + kHeaderBytes, &id, sizeof(id));
  return packet;
}

inline uint32_t IdOf(const Bytes& packet) {
  uint32_t id = UINT32_MAX;
  if (packet.size() >= kHeaderBytes + sizeof(id)) {
    std::memcpy(&id, packet.data() + kHeaderBytes, sizeof(id));
  }
  return id;
}

// The port's side, in memory that outlives the process.
struct PortState {
  uint32_t inside = 0;   // in the kernel, which SIGKILL does not interrupt
  uint32_t arrived = 0;  // packets that can be read
  uint32_t read = 0;
  uint32_t room = 0;  // packets that can be written
  uint32_t written = 0;
  uint32_t completed = 0;  // completion entries written
  size_t frame_bytes = 0;  // see Scenario
  size_t more_bytes = 0;
  std::array<uint32_t, 128> ids{};  // of the packets that were written
};

// The length of received frame `id`: every third is longer.
inline size_t RxFrame(const PortState& state, uint32_t id) {
  return state.frame_bytes + (id % 3 == 2 ? state.more_bytes : 0);
}

// Moves packets as io_uring does: the results are in the journal when the call
// returns, and none of them before.
class CrashPort final : public PacketPort {
 public:
  CrashPort(PortState& state, PairJournal& journal)
      : state_(&state), results_(*journal.NextRing(), state.completed) {}

  // Called when the kernel returns.
  static inline void (*after_call)() = nullptr;

  size_t at_once(size_t packets) const override { return packets; }
  void Read(std::span<Io> packets) override {
    Call(packets, [this](Io& packet) { return ReadOne(packet); });
  }
  void Write(std::span<Io> packets) override {
    Call(packets, [this](Io& packet) { return WriteOne(packet); });
  }

 private:
  template <typename One>
  void Call(std::span<Io> packets, One one) {
    std::atomic_ref(state_->inside).store(1);
    for (size_t i = 0; i < packets.size(); ++i) {
      Io& packet = packets[i];
      packet.result = one(packet);
      results_.Post(packet, i);
    }
    std::atomic_ref(state_->inside).store(0);
    if (after_call != nullptr) after_call();
  }

  IoResult ReadOne(Io& packet) {
    if (state_->read == state_->arrived) return {.error = EAGAIN};
    const Bytes bytes =
        NumberedPacket(state_->read, RxFrame(*state_, state_->read));
    ++state_->read;
    size_t done = 0;
    for (const iovec& to : packet.segments) {
      const size_t n = std::min(to.iov_len, bytes.size() - done);
      std::memcpy(to.iov_base, bytes.data() + done, n);
      done += n;
    }
    return {.bytes = done};
  }

  IoResult WriteOne(Io& packet) {
    if (state_->room == 0) return {.error = EAGAIN};
    --state_->room;
    Bytes bytes;
    for (const iovec& from : packet.segments) {
      const auto* data = static_cast<const uint8_t*>(from.iov_base);
      bytes.insert(bytes.end(), data, data + from.iov_len);
    }
    state_->ids.at(state_->written++) = IdOf(bytes);
    return {.bytes = bytes.size()};
  }

  PortState* state_;
  tests::PostedResults results_;
};

// What happens before the crash.
struct Scenario {
  const char* name;
  size_t rx_frame = 60;
  size_t rx_more = 0;  // bytes of every third frame beyond these
  uint32_t rx_packets = 0;
  uint32_t rx_buffer = 2048;
  uint32_t rx_buffers = 0;  // offered before the crash
  uint32_t tx_packets = 0;
  uint32_t tx_refused = UINT32_MAX;  // a chain that is no packet, before this
  uint32_t room = 100;
  bool merge = true;
  uint16_t mtu = 1500;
  uint16_t base = 0;
};

// All that outlives a process. Two worlds of a scenario are alike, so the
// content of one can be copied to the other.
class CrashWorld {
 public:
  static constexpr uint32_t kSize = 64;
  static constexpr uint64_t kMemory = 288 << 10;
  static constexpr uint64_t kStart = 0x100000;
  // The slots that a scenario uses, and the bytes of each.
  static constexpr size_t kSlots = 10;
  static constexpr size_t kSlotBytes = 4096;
  static constexpr size_t kHeadBytes =
      PairJournal::kHeadPages * PairJournal::kPageBytes;
  static constexpr size_t kImageBytes =
      kMemory + kHeadBytes + kSlots * kSlotBytes + sizeof(PortState);

  CrashWorld(const Scenario& its_scenario, SharedMemory& its_journal)
      : scenario(its_scenario),
        journal(its_journal),
        data(device.AddRegion(kStart, kMemory)),
        memory(data, kStart, kMemory),
        rx(device, memory, {.index = 0, .size = kSize, .base = scenario.base}),
        tx(device, memory, {.index = 1, .size = kSize, .base = scenario.base}) {
    port() = {.arrived = scenario.rx_packets,
              .room = scenario.room,
              .frame_bytes = scenario.rx_frame,
              .more_bytes = scenario.rx_more};
    OfferRx(scenario.rx_buffers);
    for (uint32_t id = 0; id < scenario.tx_packets; ++id) {
      if (id == scenario.tx_refused) tx.Chain().Writable(64).Offer();
      tx.Chain().Readable(NumberedPacket(id, 60)).Offer();
    }
  }

  PortState& port() { return port_memory.as<PortState>(); }

  void OfferRx(uint32_t count) {
    for (; count > 0; --count) rx.Chain().Writable(scenario.rx_buffer).Offer();
  }

  // A process that serves the rings.
  std::unique_ptr<QueuePair> MakePair() {
    return std::make_unique<QueuePair>(
        device,
        QueuePair::Options{.mtu = scenario.mtu, .journal = journal.span()});
  }
  void StartQueues(QueuePair& pair, Virtqueue::Start start) {
    uint64_t features = Bit(kFeatureVersion1) | Bit(kFeatureAccessPlatform);
    if (scenario.merge) features |= Bit(kFeatureMrgRxbuf);
    for (const auto& [direction, queue] :
         {std::pair(Direction::kRx, &rx), std::pair(Direction::kTx, &tx)}) {
      const absl::Status status = pair.path(direction).Start(
          queue->info(), features, start, coalesce::Params{}, kNow);
      ASSERT_TRUE(status.ok()) << status;
    }
  }
  void SetPort(QueuePair& pair) {
    pair.SetPort(std::make_unique<CrashPort>(port(), pair.journal()));
  }
  static void Run(QueuePair& pair) {
    Wait wait = pair.Step({.port_readable = true,
                           .port_writable = true,
                           .rx_kick = true,
                           .tx_kick = true},
                          Clock);
    for (int i = 0; wait.again && i < 1000; ++i) wait = pair.Step({}, Clock);
  }

  // Copies all that outlives a process to an image, or from one. Allocates
  // nothing.
  void Save(uint8_t* image) {
    ForEachPart([&](uint8_t* part, size_t bytes) {
      std::memcpy(image, part, bytes);
      image += bytes;
    });
  }
  void Load(const uint8_t* image) {
    ForEachPart([&](uint8_t* part, size_t bytes) {
      std::memcpy(part, image, bytes);
      image += bytes;
    });
  }

  // The packet of the next used entries; nothing if there is none.
  std::optional<Bytes> TakePacket() {
    std::optional<tests::UsedEntry> used = rx.TakeUsed();
    if (!used || used->bytes.size() < kHeaderBytes) return std::nullopt;
    VirtioNetHeader header;
    std::memcpy(&header, used->bytes.data(), kHeaderBytes);
    Bytes packet = used->bytes;
    for (uint16_t i = 1; i < header.num_buffers; ++i) {
      used = rx.TakeUsed();
      if (!used) return std::nullopt;
      packet.insert(packet.end(), used->bytes.begin(), used->bytes.end());
    }
    std::memset(packet.data(), 0, kHeaderBytes);
    return packet;
  }

  static Instant Clock() { return kNow; }
  static constexpr Instant kNow = tests::At(std::chrono::seconds(1));

  const Scenario scenario;
  SharedMemory& journal;  // PairJournal::kBytes
  tests::FakeDevice device{2};
  uint8_t* const data;
  tests::DriverMemory memory;
  tests::DriverQueue rx;
  tests::DriverQueue tx;
  SharedMemory port_memory{sizeof(PortState)};

 private:
  template <typename Do>
  void ForEachPart(Do part) {
    part(data, kMemory);
    part(journal.span().data(), kHeadBytes);
    for (size_t slot = 0; slot < kSlots; ++slot) {
      part(journal.span().data() + kHeadBytes + slot * RxStaging::kSlotBytes,
           kSlotBytes);
    }
    part(port_memory.span().data(), sizeof(PortState));
  }
};

// Everything has come through, once and in order. False if not.
inline bool AllCameThrough(CrashWorld& world) {
  for (uint32_t id = 0; id < world.scenario.rx_packets; ++id) {
    const std::optional<Bytes> packet = world.TakePacket();
    if (!packet || *packet != NumberedPacket(id, RxFrame(world.port(), id))) {
      ADD_FAILURE() << "received packet " << id
                    << (packet ? " is " + std::to_string(IdOf(*packet))
                               : " is missing");
      return false;
    }
  }
  if (world.TakePacket()) {
    ADD_FAILURE() << "a packet was delivered again";
    return false;
  }
  const PortState& port = world.port();
  if (port.written != world.scenario.tx_packets) {
    ADD_FAILURE() << port.written << " packets sent of "
                  << world.scenario.tx_packets;
    return false;
  }
  for (uint32_t id = 0; id < port.written; ++id) {
    if (port.ids.at(id) == id) continue;
    ADD_FAILURE() << "packet " << port.ids.at(id) << " sent as the " << id
                  << "th";
    return false;
  }
  world.tx.DrainUsed();
  EXPECT_EQ(world.tx.outstanding(), 0U);
  return !testing::Test::HasFailure();
}

}  // namespace net

#endif  // VDUSE_NET_TESTS_NET_PATH_CRASH_WORLD_H_
